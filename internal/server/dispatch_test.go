package server

import (
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestSilentRunner: a runner that gives no sign of life gets no runs, although it is connected and has the most room, until it gives one.
func TestSilentRunner(t *testing.T) {
	d := newDispatcher(New(Options{Store: newRig(t).store}))
	connect := func(name string, slots int) *line {
		l, err := d.connect(name, "default", &api.Hello{Slots: slots}, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.none = true
		return l
	}
	silent, other := connect("default/a@1", 100), connect("default/b@1", 1)
	silent.heard = time.Now().Add(-time.Hour)
	if got := d.reserve(&store.NewRun{Pool: "default"}); got != other {
		t.Errorf("the run goes to %+v", got)
	}
	d.heard("default/a@1")
	if silent.none || silent.room() != 100 {
		t.Errorf("after a sign of life: %+v", silent)
	}
}
