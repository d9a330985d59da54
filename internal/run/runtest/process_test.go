package runtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

type runner func(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error)

func (r runner) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	return r(ctx, req, watch)
}

// connect returns a client of a runner on the other side of two pipes. hangUp closes the client's pipe.
func connect(t *testing.T, r run.Runner) (c *Client, hangUp func()) {
	t.Helper()
	asked, ask := io.Pipe()
	answered, answer := io.Pipe()
	served := make(chan error, 1)
	go func() {
		err := Serve(context.Background(), r, asked, answer)
		_ = answer.Close()
		served <- err
	}()
	hangUp = func() { _ = ask.Close() }
	t.Cleanup(func() {
		hangUp()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return NewClient(answered, ask), hangUp
}

func TestProcess(t *testing.T) {
	var events []run.Event
	watch := run.Watch{Emit: func(e run.Event) { events = append(events, e) }}
	c, _ := connect(t, runner(func(_ context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
		watch.Emit(run.Event{Seq: 1, Run: req.ID, State: &run.StateChange{State: run.Running}})
		return &run.Result{Status: run.Error, Reason: req.Tool.Name + ": " + req.Inputs["n"].(shape.Scalar).Text}, errors.New("a reason")
	}))
	result, err := c.Run(t.Context(), &run.Request{ID: "r", Tool: &tool.Tool{Name: "t"}, Inputs: run.Values{"n": shape.Scalar{Text: "0755"}}}, watch)
	if err == nil || err.Error() != "a reason" || result.Reason != "t: 0755" || len(events) != 1 || events[0].State.State != run.Running {
		t.Errorf("got %+v, %v, %+v; want the runner's result, error and event", result, err, events)
	}
}

func TestProcessEnds(t *testing.T) {
	begun := make(chan struct{})
	untilKilled := runner(func(ctx context.Context, _ *run.Request, watch run.Watch) (*run.Result, error) {
		close(begun)
		<-ctx.Done()
		<-watch.Kill
		return &run.Result{Status: run.Cancelled}, nil
	})
	c, _ := connect(t, untilKilled)
	ctx, cancel := context.WithCancel(t.Context())
	kill := make(chan struct{})
	go func() {
		<-begun
		cancel()
		close(kill)
	}()
	if result, err := c.Run(ctx, &run.Request{Tool: &tool.Tool{}}, run.Watch{Kill: kill}); err != nil || result.Status != run.Cancelled {
		t.Errorf("got %+v, %v, want a cancelled run", result, err)
	}

	begun = make(chan struct{})
	c, hangUp := connect(t, runner(func(ctx context.Context, _ *run.Request, _ run.Watch) (*run.Result, error) {
		close(begun)
		<-ctx.Done()
		return &run.Result{Status: run.Cancelled}, nil
	}))
	go func() {
		<-begun
		hangUp()
	}()
	// The runner answers before it ends, or is gone.
	if result, _ := c.Run(t.Context(), &run.Request{Tool: &tool.Tool{}}, run.Watch{}); result.Status != run.Cancelled && result.Status != run.Lost {
		t.Errorf("got %+v, want a cancelled or lost run", result)
	}
	if result, err := c.Run(t.Context(), &run.Request{Tool: &tool.Tool{}}, run.Watch{}); err == nil || result.Status != run.Lost {
		t.Errorf("after the runner is gone: got %+v, %v, want a lost run", result, err)
	}
}
