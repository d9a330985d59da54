//go:build linux

package runner_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
)

// deaf is a server whose connection breaks instead of having the runner drain, once.
type deaf struct {
	*api.RunnerClient
	missed atomic.Bool
}

func (d *deaf) Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error {
	return d.RunnerClient.Messages(ctx, h, func(m api.Message) error {
		if m.Drain && !d.missed.Swap(true) {
			return errCut
		}
		return take(m)
	})
}

// TestDrainIsHeard drains a runner whose connection breaks before it hears so: it hears it again, ends, and is no longer listed.
func TestDrainIsHeard(t *testing.T) {
	s := newSite(t, nil)
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken(), UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	d := &deaf{RunnerClient: client.Runner("r", "raaaaaaaaaaaaaaaaaaaaaaaa")}
	s.startRunner("r", nil, d)
	listed := func(n int) func() bool {
		return func() bool {
			all, err := s.client.Runners(t.Context())
			return err == nil && len(all) == n
		}
	}
	waitFor(t, "the runner is connected", listed(1))
	if err := s.client.DrainRunner(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the runner has ended", listed(0))
	if !d.missed.Load() {
		t.Error("the connection didn't break")
	}
}
