//go:build linux

package runner_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
)

// Ten times what a runner keeps in memory, in events as in bytes.
const (
	lines  = 50_000
	filler = 200
)

// chatty runs a tool that prints many lines while the server is away. It returns the numbers of those that arrived, and the marks in
// the log, each with the number of the line before it.
func chatty(t *testing.T, spool int64) (arrived []int, marks map[int]run.Dropped) {
	t.Helper()
	began, away, printed := make(chan string, 1), make(chan string, 1), make(chan string, 1)
	s := newSite(t, map[string]fake.Program{"x": func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, 0, strings.Repeat("x", filler))
		began <- "x"
		<-away
		for i := 1; i < lines; i++ {
			fmt.Fprintln(p.Stdout, i, strings.Repeat("x", filler))
		}
		printed <- "x"
		return 3
	}})
	s.spool = spool
	left := filepath.Join(s.dir, "spool-r", "1")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("of a runner that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.viaClient("r")
	r := s.begin(&api.NewRun{Bundle: s.bundle("x.yaml", "image: i\ncommand: [x]\n")})
	next(t, began)
	s.down()
	away <- "x"
	next(t, printed) // the tool doesn't wait for the server
	waiting, err := filepath.Glob(filepath.Join(s.dir, "spool-r", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, path := range waiting {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size == 0 || size > spool/2 {
		t.Errorf("%d bytes wait on the disk, in %q", size, waiting)
	}
	s.up()
	events, result := s.follow(r.ID)
	if result.Status != run.Failed || result.ExitCode != 3 {
		t.Errorf("the result is %+v", result)
	}
	marks = map[int]run.Dropped{}
	var text bytes.Buffer
	for _, e := range events {
		if e.Log != nil {
			text.Write(e.Log.Bytes())
		}
		if e.Dropped != nil {
			for line := range strings.Lines(text.String()) {
				arrived = append(arrived, numberOf(t, line))
			}
			text.Reset()
			marks[arrived[len(arrived)-1]] = *e.Dropped
		}
	}
	for line := range strings.Lines(text.String()) {
		arrived = append(arrived, numberOf(t, line))
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "spool-r", "*")); err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %q, %v", left, err)
	}
	return arrived, marks
}

func numberOf(t *testing.T, line string) int {
	t.Helper()
	n := -1
	if _, err := fmt.Sscanf(line, "%d x", &n); err != nil {
		t.Fatalf("the line %q: %v", line, err)
	}
	return n
}

// TestSpool has a tool print more than fits into memory while the server is away: every line arrives, once and in order.
func TestSpool(t *testing.T) {
	arrived, marks := chatty(t, 1<<30)
	if len(arrived) != lines || len(marks) != 0 {
		t.Fatalf("%d lines of %d arrived, %v", len(arrived), lines, marks)
	}
	for i, n := range arrived {
		if n != i {
			t.Fatalf("line %d came as line %d", n, i)
		}
	}
}

// TestSpoolIsFull has a tool print more than the spool takes: the rest is missing, and the log says where, how much and why.
func TestSpoolIsFull(t *testing.T) {
	arrived, marks := chatty(t, 4<<20)
	missing := int64(0)
	for i := 1; i < len(arrived); i++ {
		skipped := arrived[i] - arrived[i-1] - 1
		if skipped < 0 || skipped > 0 && marks[arrived[i-1]].Events == 0 {
			t.Fatalf("line %d comes after line %d, marked are %v", arrived[i], arrived[i-1], marks)
		}
		missing += int64(skipped)
	}
	missing += int64(lines - 1 - arrived[len(arrived)-1])
	dropped := int64(0)
	for _, m := range marks {
		dropped += m.Bytes
		if m.Events == 0 || m.Reason != "the runner's spool is full" {
			t.Errorf("marked: %+v", m)
		}
	}
	if missing == 0 || dropped < missing*filler || dropped > missing*(filler+10) {
		t.Errorf("%d lines are missing, marked are %v", missing, marks)
	}
}
