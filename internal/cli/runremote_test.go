package cli

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/run"
)

// remoteOf returns a project of a server that answers so.
func remoteOf(t *testing.T, answers http.HandlerFunc) *remote.Remote {
	t.Helper()
	server := httptest.NewTLSServer(answers)
	t.Cleanup(server.Close)
	chosen := remote.Context{Server: server.URL, Project: "web", Token: "mfly_token", Fingerprint: api.Fingerprint(server.TLS.Certificates[0].Certificate[0])}
	r, err := chosen.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// TestFollowRemoteSaysTheRun has a server refuse what comes after it has accepted a run: the user must get to know the run's id.
func TestFollowRemoteSaysTheRun(t *testing.T) {
	r := remoteOf(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/cancel") {
			t.Error("the run is cancelled")
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"status":429,"title":"Too Many Requests","detail":"too many requests","code":"too_many_requests"}`)) // the client says so
	})
	for _, kind := range []string{"tool", "workflow"} {
		t.Run(kind, func(t *testing.T) {
			var out, errOut strings.Builder
			f := &runFlags{resources: map[string]*string{}}
			err := f.followRemote(t.Context(), streams{in: strings.NewReader(""), out: &out, err: &errOut}, r, &api.Run{ID: "019f", Kind: kind, Tool: "t"})
			if err == nil || !strings.Contains(err.Error(), "too many requests") {
				t.Errorf("got %v", err)
			}
			if want := "mayfly: the run may go on: mayfly logs -f 019f --server " + r.Server() + " --project web\n"; !strings.HasSuffix(errOut.String(), want) {
				t.Errorf("got %q, want %q", errOut.String(), want)
			}
		})
	}
}

// TestResumeRemoteRefuses checks that no flag is ignored that a resumed run of a server can't take.
func TestResumeRemoteRefuses(t *testing.T) {
	for name, set := range map[string]func(*runFlags){
		"env-file": func(f *runFlags) { f.envFile = "e" },
		"user":     func(f *runFlags) { f.user = "1" },
		"network":  func(f *runFlags) { f.network = "none" },
		"grace":    func(f *runFlags) { f.grace++ },
		"timeout":  func(f *runFlags) { f.timeout = "1s" },
		"memory":   func(f *runFlags) { *f.resources["memory"] = "1Gi" },
		"pool":     func(f *runFlags) { f.pool = "build" },
		"label":    func(f *runFlags) { f.runnerLabels = []string{"gpu"} },
		"labels":   func(f *runFlags) { f.labels = []string{"a=b"} },
		"priority": func(f *runFlags) { f.priority = 1 },
		"key":      func(f *runFlags) { f.concurrency = "deploy=1" },
		"arg":      func(f *runFlags) { f.args = []string{"a=1"} },
		"env":      func(f *runFlags) { f.env = []string{"A=1"} },
	} {
		t.Run(name, func(t *testing.T) {
			f := &runFlags{resume: "id", pull: "missing", grace: run.DefaultGrace, resources: map[string]*string{"memory": new(string)}}
			set(f)
			if err := f.resumeRemote(t.Context(), streams{}, nil); err == nil || !strings.Contains(err.Error(), "resources, pool, labels, priority and concurrency key") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNewRunLabels gives a run labels and a priority.
func TestNewRunLabels(t *testing.T) {
	f := &runFlags{pull: "missing", keepFor: time.Hour, labels: []string{"team=web", "empty="}, priority: -3}
	n, err := f.newRun(t.Context(), streams{}, nil, []string{"no-such-file"})
	if err != nil || n.Tool != "no-such-file" || n.Priority != -3 || len(n.Labels) != 2 || n.Labels["team"] != "web" {
		t.Errorf("%+v, %v", n, err)
	}
	f.labels = []string{"team"}
	var wrong *usageError
	if _, err := f.newRun(t.Context(), streams{}, nil, []string{"no-such-file"}); !errors.As(err, &wrong) || !strings.Contains(err.Error(), `--label "team" is not KEY=VALUE`) {
		t.Errorf("got %v", err)
	}
}

// TestRunFlagsForServers has flags refused that a run on this machine would ignore.
func TestRunFlagsForServers(t *testing.T) {
	for _, flag := range []string{"--label=a=b", "--priority=1"} {
		c := quietly(newRunCommand(streams{}))
		c.SetArgs([]string{"--server", "local", flag, "x.yaml"})
		var wrong *usageError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "are for a run on a server") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
