package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// flaky is a server that fails twice to send a content, and takes no artifact.
type flaky struct {
	Server
	asked int
}

func (f *flaky) Content(context.Context, string) (io.ReadCloser, error) {
	switch f.asked++; f.asked {
	case 1:
		return nil, &api.Problem{Status: http.StatusServiceUnavailable}
	case 2:
		return io.NopCloser(io.MultiReader(strings.NewReader("con"), iotest.ErrReader(errors.New("reset")))), nil
	}
	return io.NopCloser(strings.NewReader("content")), nil
}

func (*flaky) PutContent(context.Context, string, io.Reader) error {
	return &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "not taken"}
}

func flakyRunner(t *testing.T) (*Runner, *flaky) {
	t.Helper()
	s := &flaky{}
	return &Runner{o: Options{Server: s, Content: content.Store(t.TempDir()), Log: slog.New(slog.DiscardHandler)}}, s
}

// TestFetchTriesAgain checks that a content is asked for again after the server or the connection has failed.
func TestFetchTriesAgain(t *testing.T) {
	r, s := flakyRunner(t)
	digest := archive.Digest([]byte("content"))
	if err := r.fetchOne(t.Context(), digest); err != nil || s.asked != 3 {
		t.Fatalf("after %d tries: %v", s.asked, err)
	}
	path, err := r.o.Content.Path(digest)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "content" {
		t.Errorf("got %q, %v", data, err)
	}
	if left, err := filepath.Glob(filepath.Join(string(r.o.Content), "fetching-*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
	if err := r.fetchOne(t.Context(), archive.Digest([]byte("other"))); err == nil || s.asked != 4 {
		t.Errorf("after %d tries: %v", s.asked, err)
	}
}

// succeeds is a run that succeeds with an artifact.
type succeeds struct{ digest string }

func (s succeeds) Run(_ context.Context, _ *run.Request, w run.Watch) (*run.Result, error) {
	w.Emit(run.Event{State: &run.StateChange{State: run.Running}})
	res := run.Result{Status: run.Succeeded}
	w.Emit(run.Event{State: &run.StateChange{State: run.Succeeded}})
	w.Emit(run.Event{Result: &res})
	other := res
	other.Artifacts = map[string]string{"a": s.digest}
	return &other, nil
}

// full is a server whose disk is full.
type full struct{ Server }

func (full) PutContent(context.Context, string, io.Reader) error {
	return &api.Problem{Status: http.StatusInsufficientStorage, Detail: "the disk is full"}
}

func newBox(t *testing.T) *secret.Box {
	t.Helper()
	b, err := secret.NewBox()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keep puts an artifact among a runner's contents, and returns its digest.
func keep(t *testing.T, r *Runner) string {
	t.Helper()
	digest := archive.Digest([]byte("content"))
	path, err := r.o.Content.Path(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestArtifactOfACancelledAttempt checks that an attempt ends whose artifact the server doesn't take, some time after its end was asked
// for.
func TestArtifactOfACancelledAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{o: Options{Server: full{}, Content: content.Store(t.TempDir()), Log: slog.New(slog.DiscardHandler)}}
		digest := keep(t, r)
		reporting, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		ctx, end := context.WithCancelCause(reporting)
		time.AfterFunc(time.Hour, func() { end(errAsked) })
		r.o.Carry = func(Carriage) run.Runner { return succeeds{digest} }
		r.box = newBox(t)
		begun := time.Now()
		res := r.carryOut(ctx, reporting, &api.Assignment{Request: &run.Request{Tool: &tool.Tool{}}}, nil, func(run.Event) {})
		if took := time.Since(begun); res.Status != run.Cancelled || res.ExitCode != run.ExitCancelled || took < time.Hour || took > time.Hour+lastArtifacts+10*time.Second {
			t.Errorf("after %s: %+v", took, res)
		}
	})
}

// TestArtifactNotSent checks that the events of an attempt whose artifact can't be sent say what its result says.
func TestArtifactNotSent(t *testing.T) {
	r, _ := flakyRunner(t)
	digest := keep(t, r)
	r.box = newBox(t)
	r.o.Carry = func(Carriage) run.Runner { return succeeds{digest} }
	var events []run.Event
	as := &api.Assignment{Request: &run.Request{Tool: &tool.Tool{}}}
	res := r.carryOut(t.Context(), t.Context(), as, nil, func(e run.Event) { events = append(events, e) })
	if res.Status == run.Succeeded || len(res.Artifacts) > 0 || !strings.Contains(res.Reason, "send the artifact a to the server") {
		t.Errorf("the result is %+v", res)
	}
	if len(events) != 3 || events[1].State.State != res.Status || events[2].Result.Status != res.Status || events[2].Result.Reason != res.Reason {
		t.Errorf("the events are %+v", events)
	}
}

// writes is a run that ends with outputs of so many bytes.
type writes struct {
	status run.State
	size   int
}

func (w writes) Run(_ context.Context, _ *run.Request, watch run.Watch) (*run.Result, error) {
	res := &run.Result{Status: w.status, Reason: "its own", Outputs: map[string]string{"a": strings.Repeat("x", w.size)}}
	watch.Emit(run.Event{State: &run.StateChange{State: w.status}})
	watch.Emit(run.Event{Result: res})
	return res, nil
}

// TestLargeOutputs checks that outputs that no report has room for fail a run, and don't lose it.
func TestLargeOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		writes
		want run.State
		kept bool
	}{
		"as large as may be": {writes{run.Succeeded, maxResult - 1000}, run.Succeeded, true},
		"too large":          {writes{run.Succeeded, maxResult}, run.Failed, false},
		"of a failure":       {writes{run.TimedOut, maxResult}, run.TimedOut, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := flakyRunner(t)
			r.box = newBox(t)
			r.o.Carry = func(Carriage) run.Runner { return c.writes }
			var events []run.Event
			as := &api.Assignment{Request: &run.Request{Tool: &tool.Tool{}}}
			res := r.carryOut(t.Context(), t.Context(), as, nil, func(e run.Event) { events = append(events, e) })
			for _, one := range []*run.Result{res, events[len(events)-1].Result} {
				if one.Status != c.want || (len(one.Outputs) == 1) != c.kept || (one.Code == run.CodeInvalidOutput) != (name == "too large") || c.want == run.TimedOut && one.Reason != "its own" {
					t.Errorf("the result is %s %s %s", one.Status, one.Code, one.Reason)
				}
			}
			if s := events[0].State.State; s != c.want {
				t.Errorf("the state is %s", s)
			}
		})
	}
}

// named is a run that says what it is called.
type named struct{ ids *[]string }

func (n named) Run(_ context.Context, req *run.Request, _ run.Watch) (*run.Result, error) {
	*n.ids = append(*n.ids, req.ID)
	return &run.Result{Status: run.Succeeded}, nil
}

// TestAttemptsAreApart checks that a further attempt has nothing on the machine in common with the one before.
func TestAttemptsAreApart(t *testing.T) {
	r, _ := flakyRunner(t)
	r.box = newBox(t)
	var ids []string
	r.o.Carry = func(Carriage) run.Runner { return named{&ids} }
	for attempt := range 3 {
		as := &api.Assignment{Holding: api.Holding{Run: "run", Attempt: attempt + 1}, Request: &run.Request{ID: "run", Tool: &tool.Tool{}}}
		r.carryOut(t.Context(), t.Context(), as, nil, func(run.Event) {})
	}
	if want := []string{"run", "run-a2", "run-a3"}; !slices.Equal(ids, want) {
		t.Errorf("the attempts are %q, want %q", ids, want)
	}
}
