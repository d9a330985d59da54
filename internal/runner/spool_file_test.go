//go:build linux

package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestSpoolStays has a file of the spool that can be read and not removed, as in a file system that became read-only: its events are there.
func TestSpoolStays(t *testing.T) {
	s, err := openSpool(filepath.Join(t.TempDir(), "spool"), 100<<20)
	if err != nil {
		t.Fatal(err)
	}
	q := queue{spool: s}
	const all = 3 * segmentSize / 1000
	for i := range all {
		e := run.Event{Seq: int64(i), Log: &run.Log{Data: strings.Repeat("x", 1000)}}
		if err := q.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(q.files) == 0 {
		t.Fatal("no file was written")
	}
	f, err := os.Open(q.files[0].path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	q.files[0].path = fmt.Sprint("/proc/self/fd/", f.Fd()) // nothing of /proc can be removed
	next := int64(0)
	for !q.onlyHead() || len(q.head) > 0 {
		if err := q.load(); err != nil {
			t.Fatal(err)
		}
		for _, e := range q.head {
			if e.Seq != next {
				t.Fatalf("event %d comes after %d", e.Seq, next-1)
			}
			next++
		}
		q.head = nil
	}
	if next != all {
		t.Errorf("%d events; want %d", next, all)
	}
	if err := q.close(); err == nil || !strings.Contains(err.Error(), "/proc/self/fd/") {
		t.Errorf("close says nothing of the file: %v", err)
	}
}
