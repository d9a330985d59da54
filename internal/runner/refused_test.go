//go:build linux

package runner_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
)

// speaks is a runner's connection in another version of the protocol.
type speaks struct {
	runner.Server
	protocol int
	// change, unless nil, changes an event on its way, as a later version may send it.
	change func(*run.Event)
}

func (s speaks) Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error {
	other := *h
	other.Protocol, other.Version = s.protocol, "9.8"
	return s.Server.Messages(ctx, &other, take)
}

func (s speaks) Report(ctx context.Context, r *api.Report) (*api.Receipt, error) {
	other := *r
	other.Events = nil
	for _, e := range r.Events {
		if s.change != nil {
			s.change(&e)
		}
		other.Events = append(other.Events, e)
	}
	return s.Server.Report(ctx, &other)
}

// TestRunnerRefused has runners that the server doesn't take: each ends at once, and says why and what to do.
func TestRunnerRefused(t *testing.T) {
	s := newSite(t, nil)
	token := func(tk store.Token) string {
		t.Helper()
		text, hash := server.NewToken()
		tk.Hash = hash
		if err := s.db.AddToken(t.Context(), tk); err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := token(store.Token{Name: "build", Role: server.RoleRunner, Pool: "default"})
	const unknown = "the token is unknown, has expired or is revoked; log in with another one: mayfly login URL --token-file FILE"
	for name, c := range map[string]struct {
		token    string
		protocol int
		slots    int
		want     string
	}{
		"no token":           {"", api.Protocol, 1, "the request has no token; "},
		"wrong token":        {"x" + good, api.Protocol, 1, unknown},
		"expired token":      {token(store.Token{Name: "old", Role: server.RoleRunner, Pool: "default", Expires: time.Now().Add(-time.Hour)}), api.Protocol, 1, unknown},
		"a user's token":     {s.token, api.Protocol, 1, "this needs the role runner, and the token ada has admin; use a token with that role in this project"},
		"a later version":    {good, api.Protocol + 2, 1, "the runner speaks version 3 of the protocol (mayfly 9.8), and this server version 1; install adjacent versions of server and runner"},
		"an earlier version": {good, api.Protocol - 2, 1, "the runner speaks version -1 of the protocol (mayfly 9.8), and this server version 1; install adjacent versions of server and runner"},
		"too many slots":     {good, api.Protocol, 10_001, "10001 slots are not between 1 and 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: c.token, UserAgent: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			to := speaks{Server: client.Runner("build", "buildaaaaaaaaaaaaaaaaaaaaaaaa"), protocol: c.protocol}
			r, err := runner.New(runner.Options{Server: to, Name: "build", Slots: c.slots, Content: content.Store(t.TempDir()), Spool: filepath.Join(t.TempDir(), "spool")})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := r.Run(ctx); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("it ends with %v, want %s", err, c.want)
			}
		})
	}
}

// TestNextVersion has a runner of the next version: events of a type that the server doesn't know go through it as they are.
func TestNextVersion(t *testing.T) {
	s := newSite(t, map[string]fake.Program{"x": func(*fake.Process) int { return 0 }})
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken(), UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.startRunner("next", nil, speaks{client.Runner("next", "nextaaaaaaaaaaaaaaaaaaaaaaaa"), api.Protocol + 1, func(e *run.Event) {
		if e.State != nil && e.State.State == run.Creating {
			e.State, e.Other = nil, &run.Other{Type: "preparing", Fields: map[string]json.RawMessage{"how": json.RawMessage(`{"a":[1]}`)}}
		}
	}})
	events, result := s.follow(s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", "image: i\ncommand: [x]\n")}).ID)
	want(t, result, " -> succeeded 0")
	found := false
	for _, e := range events {
		found = found || e.Other != nil && e.Other.Type == "preparing" && string(e.Other.Fields["how"]) == `{"a":[1]}`
	}
	if !found {
		t.Errorf("the event isn't in %s", text(t, events))
	}
}
