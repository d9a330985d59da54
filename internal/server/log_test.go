package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// logged starts a server with one run, which reports these pieces of output; each report is one chunk.
func logged(t *testing.T, reports [][]run.Log) (s *Server, id string) {
	t.Helper()
	db, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s = New(Options{Store: db, Archive: archive.Dir(t.TempDir())})
	report(t, s, "run", reports)
	return s, "run"
}

// report accepts a run and reports its output.
func report(t interface {
	Helper()
	Fatal(args ...any)
}, s *Server, id string, reports [][]run.Log,
) {
	t.Helper()
	ctx := contextOf(t)
	link := s.Link(defaultPool, "r", "instance0123456789012")
	err := s.store.Accept(ctx, store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}")},
		&store.Lessee{Runner: link.holder(), Lease: s.lease})
	if err != nil {
		t.Fatal(err)
	}
	first := int64(1)
	for _, logs := range reports {
		r := &api.Report{Holding: api.Holding{Run: id, Attempt: 1}, First: first}
		for i := range logs {
			r.Events = append(r.Events, run.Event{Log: &logs[i]})
		}
		r.Events = append(r.Events, run.Event{State: &run.StateChange{State: run.Running, Detail: `"type":"log"`}})
		if _, err := link.Report(ctx, r); err != nil {
			t.Fatal(err)
		}
		first += int64(len(r.Events))
	}
}

func out(text string) run.Log  { return run.Log{Stream: "stdout", Data: text} }
func errs(text string) run.Log { return run.Log{Stream: "stderr", Data: text} }

func TestLogWindow(t *testing.T) {
	long := strings.Repeat("x", maxShown+10)
	s, id := logged(t, [][]run.Log{
		{out("one\ntwo\nth"), out("ree\n")},
		{errs("problem\nha"), out("lf\n")},
		{out("fi"), out("ve\n"), {Stream: "stdout", DataBase64: []byte("si\xffx\n")}},
		{out(long + "\nlast")},
	})
	window := func(first, last int64) (got []string) {
		t.Helper()
		page := &api.LogPage{}
		if err := s.window(t.Context(), id, first, last, page); err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Lines {
			text := l.Text
			if len(text) > 100 {
				text = fmt.Sprintf("%d bytes, cut %v", len(text), l.Cut)
			}
			if l.More {
				text += "…"
			}
			got = append(got, fmt.Sprintf("%d %s %s", l.Line, l.Stream, text))
		}
		return got
	}
	all := []string{
		"1 stdout one", "2 stdout two", "3 stdout three", "4 stderr problem", "5 stderr ha…", "5 stdout lf", "6 stdout five", "7 stdout si\uFFFDx",
		fmt.Sprintf("8 stdout %d bytes, cut true", maxShown), "9 stdout last…",
	}
	if got := window(1, 100); !slices.Equal(got, all) {
		t.Errorf("all: %q, want %q", got, all)
	}
	if got := window(3, 5); !slices.Equal(got, all[2:6]) {
		t.Errorf("3 to 5: %q, want %q", got, all[2:6])
	}
	if got := window(10, 20); len(got) != 0 {
		t.Errorf("past the end: %q", got)
	}
	page := &api.LogPage{}
	if err := s.find(t.Context(), id, 2, "T", page); err != nil || len(page.Lines) != 3 || page.Lines[0].Line != 2 || page.Lines[2].Text != "last" || page.Next != 0 {
		t.Errorf("lines with a t: %+v, %v", page, err)
	}
}

// TestLogWindowGoesOn reads windows that are too large for one answer: the next ones have the rest.
func TestLogWindowGoesOn(t *testing.T) {
	const lines = 4000
	var parts, wide []run.Log
	for range lines {
		parts = append(parts, out("a"), errs("b"), out("c\n"))
	}
	const atOnce, long = 1 << 20, 50_000
	for range 5 * atOnce / long / 2 {
		wide = append(wide, out(strings.Repeat("x", long-1)+"\n"))
	}
	for name, c := range map[string]struct {
		reports            [][]run.Log
		lines, parts, most int
	}{
		"many parts": {slices.Collect(slices.Chunk(parts, 3000)), lines, 3 * lines, 2},
		"long lines": {slices.Collect(slices.Chunk(wide, 4)), len(wide), len(wide), 4},
	} {
		t.Run(name, func(t *testing.T) {
			s, id := logged(t, c.reports)
			s.readAtOnce = atOnce
			var all []api.LogLine
			answers := 0
			for next := int64(1); next > 0; answers++ {
				page := &api.LogPage{}
				if err := s.window(t.Context(), id, next, int64(c.lines), page); err != nil {
					t.Fatal(err)
				}
				all, next = append(all, page.Lines...), page.Next
			}
			if len(all) != c.parts || answers < 2 || answers > c.most {
				t.Errorf("%d parts in %d answers, want %d in %d", len(all), answers, c.parts, c.most)
			}
			for i, l := range all {
				if want := int64(i/(c.parts/c.lines)) + 1; l.Line != want {
					t.Fatalf("part %d is of line %d, want %d", i, l.Line, want)
				}
			}
		})
	}
}

// TestLogWindowIsALog compares windows with the log that they are of, however it is cut into pieces and reports.
func TestLogWindowIsALog(t *testing.T) {
	s, _ := logged(t, nil)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id := fmt.Sprint("run-", n)
		pieces := rapid.SliceOfN(rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab\n")), 1, 8, -1), 0, 4), 1, 6).Draw(t, "pieces")
		var reports [][]run.Log
		text := ""
		for _, one := range pieces {
			var logs []run.Log
			for _, p := range one {
				logs = append(logs, out(p))
				text += p
			}
			reports = append(reports, logs)
		}
		report(t, s, id, reports)
		first := rapid.Int64Range(1, 12).Draw(t, "first")
		last := first + rapid.Int64Range(0, 12).Draw(t, "more")
		page := &api.LogPage{}
		if err := s.window(contextOf(t), id, first, last, page); err != nil {
			t.Fatal(err)
		}
		var got, want strings.Builder
		for _, l := range page.Lines {
			got.WriteString(l.Text)
			if !l.More {
				got.WriteByte('\n')
			}
		}
		for i, line := range slices.Collect(strings.Lines(text)) {
			if n := int64(i) + 1; n >= first && n <= last {
				want.WriteString(line)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("lines %d to %d of %q are %q", first, last, text, got.String())
		}
		// A stream goes on where the window ends.
		if first > int64(strings.Count(text, "\n"))+1 {
			return
		}
		chunks, err := s.chunks(contextOf(t), id, page.Event, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var all, rest []string
		for _, c := range chunks {
			err := s.live.codec.eachLog(c, func(n int64, e *run.Event) bool {
				if n > page.Event {
					rest = append(rest, string(e.Log.Bytes()))
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		all = strings.SplitAfter(strings.Join(rest, ""), "\n")
		goesOn := strings.Join(strings.SplitAfter(text, "\n")[first-1:], "")
		if int64(len(all)) <= page.Skip || got.String()+strings.Join(all[page.Skip:], "") != goesOn {
			t.Fatalf("lines %d to %d of %q are followed by %q without %d lines, want %q in all", first, last, text, all, page.Skip, goesOn)
		}
	})
}

// contextOf is a test's context, also of a property's.
func contextOf(t any) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}
