package server

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestEachEvent reads all events of a run while its chunks are put together, in the archive: each comes once. When they are removed meanwhile,
// what was read isn't taken for the whole.
func TestEachEvent(t *testing.T) {
	r := newRig(t)
	chatty(t, r.Server, "run-1", 400)
	one, err := r.store.Run(t.Context(), "p", "run-1")
	if err != nil {
		t.Fatal(err)
	}
	read := func(at int64, then func()) (last int64, err error) {
		err = r.eachEvent(t.Context(), one, func(line []byte) error {
			var e run.Event
			if err := json.Unmarshal(line, &e); err != nil {
				return err
			}
			if last++; e.Seq != last {
				t.Fatalf("event %d comes after event %d: %.100s", e.Seq, last-1, line)
			}
			if last == at {
				then()
			}
			return nil
		})
		return last, err
	}
	last, err := read(1000, func() {
		if err := keeper(t, r.store, r.archive.In).archiveLogs(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil || last != one.Events {
		t.Errorf("%d of %d events, %v", last, one.Events, err)
	}
	one.Events++ // more than there are
	last, err = read(0, nil)
	var damaged *store.DamagedError
	if !errors.As(err, &damaged) || damaged.First != last+1 || damaged.Last != last+1 {
		t.Errorf("without the last event: %d events, and then %v", last, err)
	}
	last, err = read(1000, func() {
		if d, err := r.store.DropLogs(t.Context(), store.Drop{Most: 10}); err != nil || d.Runs != 1 {
			t.Fatalf("%+v, %v", d, err)
		}
	})
	var p *api.Problem
	if !errors.As(err, &p) || p.Reason != run.CodeLogRemoved || last >= one.Events {
		t.Errorf("%d of %d events, and then %v", last, one.Events, err)
	}
}
