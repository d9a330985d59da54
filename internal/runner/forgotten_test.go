package runner

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

// forgetful is a server whose database is one of before the first report.
type forgetful struct {
	Server
	reports int
}

func (f *forgetful) Report(_ context.Context, r *api.Report) (*api.Receipt, error) {
	if f.reports++; f.reports == 1 {
		return &api.Receipt{Last: r.First + int64(len(r.Events)) - 1}, nil
	}
	return &api.Receipt{Last: 0}, nil
}

// TestServerHasForgotten checks that an attempt is given up whose first events the server has no longer.
func TestServerHasForgotten(t *testing.T) {
	waiting, err := openSpool(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	out := newOutbox(&forgetful{}, api.Holding{Run: "r", Attempt: 1}, waiting, func(err error) { refused = err })
	out.add(run.Event{Log: &run.Log{Data: "1"}})
	if _, err := out.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.add(run.Event{Log: &run.Log{Data: "2"}})
	out.finish(&run.Result{})
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := out.send(ctx); err != nil || !errors.Is(refused, errForgotten) || ctx.Err() != nil {
		t.Errorf("got %v, and refused %v", err, refused)
	}
	if err := out.close(); err != nil {
		t.Error(err)
	}
}
