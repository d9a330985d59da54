package runner

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// TestLargeTests has the events of tests be as large as they may: no report is larger than a server takes, and when there is no room for
// them, neither memory nor the spool takes more than is theirs.
func TestLargeTests(t *testing.T) {
	other, err := report.NewEvent(&report.Result{Name: "n", Notes: strings.Split(strings.Repeat(strings.Repeat("x", 700)+"\n", 1000), "\n")})
	if err != nil {
		t.Fatal(err)
	}
	const all = 30
	fill := func(spool int64) *outbox {
		s, err := openSpool(filepath.Join(t.TempDir(), "spool"), spool)
		if err != nil {
			t.Fatal(err)
		}
		o := newOutbox(nil, api.Holding{Run: "r", Attempt: 1}, s, nil)
		o.away = true
		for i := range all {
			o.add(run.Event{Seq: int64(i + 1), Run: "r", Other: other})
		}
		return o
	}
	o := fill(1 << 30)
	seen := 0
	for seen < all {
		r, err := o.next()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil || len(text) > 4<<20 || len(r.Events) == 0 {
			t.Fatalf("a report of %d events has %d bytes, %v", len(r.Events), len(text), err)
		}
		seen += len(r.Events)
		o.queue.head = o.queue.head[len(r.Events):]
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
	o = fill(4 << 20)
	var size int64
	dropped := int64(0)
	for _, e := range append(o.queue.head, o.queue.tail...) {
		one, _ := sizeOf(&e)
		size += one
		if e.Dropped != nil {
			dropped += e.Dropped.Events
		}
	}
	if size > 4<<20 || o.queue.filesSize > 4<<20 || dropped < all/2 {
		t.Errorf("%d bytes wait in memory and %d in files; %d events are dropped", size, o.queue.filesSize, dropped)
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
}
