//go:build linux

package runner_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
)

// gate has a tool that says its name when it begins, and ends when it may.
func gate(began chan<- string, may <-chan int) map[string]fake.Program {
	return map[string]fake.Program{"x": func(p *fake.Process) int {
		began <- p.Getenv("NAME")
		select {
		case n := <-may:
			return n
		case <-p.Context.Done():
			return 1
		}
	}}
}

const gateTool = "image: i\ncommand: [x]\nargs: [{name: name, default: x}]\n"

// TestConcurrency has runs wait for others of their project, tool or key, and begin as soon as those end.
func TestConcurrency(t *testing.T) {
	began, may := make(chan string, 10), make(chan int)
	s := newSite(t, gate(began, may))
	if _, err := s.client.SetPolicy(t.Context(), "p", "concurrency: {project: 3, tools: {single: 1}}", 0); err != nil {
		t.Fatal(err)
	}
	s.push("single", "x.yaml", "name: single\n"+gateTool)
	s.push("free", "x.yaml", "name: free\n"+gateTool)
	s.runner("r")
	runs := []string{}
	start := func(tool, name string, c *api.Concurrency) {
		runs = append(runs, s.begin(&api.NewRun{Tool: tool, Inputs: map[string]any{"name": name}, Concurrency: c}).ID)
	}
	start("single", "1", nil)
	if got := next(t, began); got != "1" {
		t.Fatalf("%s has begun", got)
	}
	start("single", "2", nil)
	key := &api.Concurrency{Key: "k", Limit: 1}
	start("free", "3", key)
	if got := next(t, began); got != "3" {
		t.Fatalf("%s has begun, before 1 has ended", got)
	}
	start("free", "4", key)
	start("free", "5", nil)
	if got := next(t, began); got != "5" {
		t.Fatalf("%s has begun, before 3 has ended", got)
	}
	start("free", "6", nil) // the fourth of the project
	for len(runs) > 0 {
		select {
		case got := <-began:
			t.Fatalf("%s has begun, beside three others", got)
		case <-time.After(150 * time.Millisecond): // longer than the server polls
		}
		may <- 0
		if len(runs) > 3 {
			next(t, began)
		}
		runs = runs[1:]
	}
	first := s.begin(&api.NewRun{Tool: "free", Concurrency: key})
	next(t, began)
	if _, err := s.client.Rerun(t.Context(), "p", first.ID, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-began:
		t.Fatal("a repeated run has begun beside the first one")
	case <-time.After(150 * time.Millisecond):
	}
	may <- 0
	next(t, began)
	may <- 0
}

// TestCapacity gives a runner what fits on its machine, and says at once which size no runner has.
func TestCapacity(t *testing.T) {
	began, may := make(chan string, 10), make(chan int)
	s := newSite(t, gate(began, may))
	s.capacity = api.Capacity{CPU: 2, Memory: 1 << 30}
	s.runner("r", "gpu")
	s.push("half", "x.yaml", "name: half\nresources: {memory: 600Mi}\n"+gateTool)
	waitFor(t, "the runner", func() bool {
		all, err := s.client.Runners(t.Context())
		return err == nil && len(all) == 1 && all[0].Capacity == s.capacity
	})
	for want, n := range map[string]*api.NewRun{
		"no runner of the pool default has memory 2Gi; the most is 1Gi":               {Tool: "half", Set: map[string]string{"memory": "2Gi"}},
		"no runner of the pool default with the label gpu has cpu 2.5; the most is 2": {Tool: "half", Set: map[string]string{"cpu": "2500m"}, Runner: []string{"gpu"}},
		"no runner of the pool default has the label big":                             {Tool: "half", Set: map[string]string{"cpu": "4"}, Runner: []string{"big"}},
	} {
		r := s.begin(n)
		if r.Waiting != want {
			t.Errorf("it waits for %q, want %q", r.Waiting, want)
		}
		again, err := s.client.Run(t.Context(), "p", r.ID)
		if err != nil || again.Waiting != want {
			t.Errorf("later it waits for %q, %v, want %q", again.Waiting, err, want)
		}
	}
	first := s.begin(&api.NewRun{Tool: "half", Inputs: map[string]any{"name": "1"}})
	next(t, began)
	second := s.begin(&api.NewRun{Tool: "half", Inputs: map[string]any{"name": "2"}})
	if second.Waiting != "" || second.Runner != "" {
		t.Errorf("the second one: %+v", second)
	}
	third := s.begin(&api.NewRun{Tool: "half", Inputs: map[string]any{"name": "3"}, Set: map[string]string{"memory": "100Mi"}})
	if got := next(t, began); got != "3" {
		t.Errorf("%s has begun, beside 1", got)
	}
	may <- 0
	may <- 0
	if got := next(t, began); got != "2" {
		t.Errorf("%s has begun", got)
	}
	may <- 0
	for _, r := range []*api.Run{first, second, third} {
		s.follow(r.ID)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s never comes", what)
		}
	}
}

// TestFullQueue refuses a run when too many of its project wait.
func TestFullQueue(t *testing.T) {
	s := newSite(t, nil)
	s.down()
	s.queueSize = 2
	s.up()
	s.push("t", "t.yaml", "name: t\nimage: i\ncommand: [x]\n")
	first := s.begin(&api.NewRun{Tool: "t"})
	s.begin(&api.NewRun{Tool: "t"})
	_, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Tool: "t"})
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusTooManyRequests || p.Reason != run.CodeQueueFull ||
		p.Detail != "2 runs of the project p wait already, as many as may" || !strings.HasPrefix(p.Remedy, "try again in 5 s") {
		t.Fatalf("the third one: %v", err)
	}
	if _, err := s.client.Rerun(t.Context(), "p", first.ID, nil); !errors.As(err, &p) || p.Reason != run.CodeQueueFull {
		t.Errorf("a repeated one: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.front.URL+api.Prefix+"/projects/p/runs", strings.NewReader(`{"tool":"t"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "5" {
		t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if _, err := s.client.Cancel(t.Context(), "p", first.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "room", func() bool {
		_, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Tool: "t"})
		return err == nil
	})
}

// cut is a connection of a runner that can break for good, as if the runner was killed.
type cut struct {
	*api.RunnerClient
	broken atomic.Bool
	gone   chan struct{} // closed by cut
}

func (c *cut) cut() {
	c.broken.Store(true)
	close(c.gone)
}

func (c *cut) Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error {
	if c.broken.Load() {
		return errCut
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer func() { <-done }()
	defer cancel()
	go func() {
		defer close(done)
		select {
		case <-c.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.RunnerClient.Messages(ctx, h, take)
}

var errCut = errors.New("the connection is cut")

func (c *cut) Report(ctx context.Context, r *api.Report) (*api.Receipt, error) {
	if c.broken.Load() {
		return nil, errCut
	}
	return c.RunnerClient.Report(ctx, r)
}

func (c *cut) Heartbeat(ctx context.Context, h *api.Heartbeat) (*api.Pulse, error) {
	if c.broken.Load() {
		return nil, errCut
	}
	return c.RunnerClient.Heartbeat(ctx, h)
}

// TestRunnerLost gives a run whose runner is lost to another one, if its tool may be retried, and otherwise ends it. A step of a workflow
// is such a run, too.
func TestRunnerLost(t *testing.T) {
	for name, c := range map[string]struct {
		definition, want string
		again            bool
	}{
		"no retry":           {gateTool, " -> lost 125", false},
		"not for its status": {gateTool + "retry: {attempts: 3, on_exit: [7]}\n", " -> lost 125", false},
		"retry":              {gateTool + "retry: {attempts: 2, on_exit: [125]}\n", " -> failed 7", true},
		"step":               {"workflow:\n  - {name: a, tool: {image: i, command: [x]}, retry: {attempts: 2}}\n", "a=failed -> failed 7", true},
	} {
		t.Run(name, func(t *testing.T) {
			began, may := make(chan string, 10), make(chan int)
			s := newSite(t, gate(began, may))
			s.down()
			s.lease = 3 * time.Second
			s.up()
			r := s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", c.definition)})
			lost := s.cutRunner("lost")
			next(t, began)
			waitFor(t, "its first report", func() bool {
				_, err := s.client.Runners(t.Context())
				got, failed := s.client.Steps(t.Context(), "p", r.ID)
				if failed == nil && len(got.Runs) > 0 {
					return got.Runs[0].Status == run.Running
				}
				one, failed := s.client.Run(t.Context(), "p", r.ID)
				return err == nil && failed == nil && one.Status == run.Running
			})
			lost.cut()
			s.cutRunner("other")
			if c.again {
				next(t, began)
				select { // either of the two attempts reads it; only that of the other runner is heard
				case may <- 7:
				case <-time.After(patience):
					t.Fatal("the second attempt doesn't run")
				}
				select {
				case may <- 7:
				case <-time.After(time.Second): // the first one was ended
				}
			}
			events, result := s.follow(r.ID)
			want(t, result, c.want)
			marks := 0
			for _, e := range events {
				if e.State != nil && e.State.State == run.Queued && e.State.Attempt == 2 {
					marks++
					if e.State.Detail != "follows: the runner lost was silent for longer than its lease of 3s" {
						t.Errorf("the mark says %q", e.State.Detail)
					}
				}
			}
			if (marks == 1) != c.again {
				t.Errorf("%d marks in %s", marks, text(t, events))
			}
			lost.broken.Store(false) // it hears that the attempt isn't its own
		})
	}
}

// unanswered is a connection of a runner whose heartbeats don't say what must be cancelled.
type unanswered struct{ runner.Server }

func (u unanswered) Heartbeat(ctx context.Context, h *api.Heartbeat) (*api.Pulse, error) {
	pulse, err := u.Server.Heartbeat(ctx, h)
	if pulse != nil {
		pulse.Cancel = nil
	}
	return pulse, err
}

// TestCancelIsTold checks that a runner is told at once that a run must end, and doesn't have to wait for its next heartbeat.
func TestCancelIsTold(t *testing.T) {
	began := make(chan string, 1)
	s := newSite(t, gate(began, nil))
	s.startRunner("r", nil, unanswered{s.server.Link("default", "r", "raaaaaaaaaaaaaaaaaaaaaaaa")})
	r := s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", "name: x\n"+gateTool)})
	next(t, began)
	if _, err := s.client.Cancel(t.Context(), "p", r.ID); err != nil {
		t.Fatal(err)
	}
	if _, result := s.follow(r.ID); result.Status != run.Cancelled {
		t.Errorf("it ends with %+v", result)
	}
}
