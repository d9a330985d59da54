package runner

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/secret"
)

// silent is a server that never answers a heartbeat.
type silent struct {
	Server
	asked chan struct{}
}

func (s silent) Heartbeat(ctx context.Context, _ *api.Heartbeat) (*api.Pulse, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestHeartbeatIsGivenUp checks that a heartbeat without an answer doesn't keep the next one from being sent.
func TestHeartbeatIsGivenUp(t *testing.T) {
	box, err := secret.NewBox()
	if err != nil {
		t.Fatal(err)
	}
	s := silent{asked: make(chan struct{})}
	r := &Runner{o: Options{Server: s, Log: slog.New(slog.DiscardHandler)}, box: box, kept: &keeping{}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.beat(ctx, time.Millisecond)
	}()
	for range 3 {
		select {
		case <-s.asked:
		case <-time.After(time.Minute):
			t.Fatal("no further heartbeat is sent")
		}
	}
	go func() {
		for range s.asked { // one may be on its way
		}
	}()
	stop()
	<-ended
	close(s.asked)
}
