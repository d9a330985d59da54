package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// over has a run with so many reports of two events and one line each, and ends it.
func over(t *testing.T, s Store, id string, reports int) {
	t.Helper()
	c := claimed(t, s, id, lease)
	for i := range reports {
		r := report(c, int64(2*i+1), 2, fmt.Sprintf("%s%d ", id, i))
		encode := r.Encode
		r.Encode = func(before int64) (store.Chunk, error) {
			chunk, err := encode(before)
			chunk.Lines = 1
			return chunk, err
		}
		if i == reports-1 {
			r.Ended = ended(run.Succeeded)
		}
		if _, err := s.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Millisecond) // times are milliseconds: the next one ends later
}

func want(t *testing.T, s Store, id string, texts ...string) {
	t.Helper()
	if got := chunkTexts(t, s, id); !slices.Equal(got, texts) {
		t.Errorf("run %s has %q, want %q", id, got, texts)
	}
}

func chunkTexts(t *testing.T, s Store, id string) (all []string) {
	t.Helper()
	chunks, err := s.Chunks(t.Context(), id, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		text := string(c.Data)
		if c.Object != "" {
			text = fmt.Sprintf("%s@%d+%d", c.Object, c.At, c.Size)
		}
		all = append(all, text)
	}
	return all
}

func compact(t *testing.T, s Store) {
	over(t, s, "a", 5)
	with := store.Chunk{First: 3, Last: 8, FirstLine: 2, Lines: 3, Bytes: 9, Data: []byte("joined ")}
	if err := s.Compact(t.Context(), "a", 3, with); err != nil {
		t.Fatal(err)
	}
	want(t, s, "a", "a0 ", "joined ", "a4 ")
	// What isn't as it was read stays.
	if err := s.Compact(t.Context(), "a", 3, with); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("the same again: %v, want %v", err, store.ErrNotHeld)
	}
	if err := s.Compact(t.Context(), "a", 2, store.Chunk{First: 1, Last: 4, FirstLine: 1, Lines: 2, Data: []byte("x")}); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a part of another chunk: %v, want %v", err, store.ErrNotHeld)
	}
	want(t, s, "a", "a0 ", "joined ", "a4 ")
	chunks, err := s.ChunksOfLines(t.Context(), "a", 4, 4, 1<<20)
	if err != nil || len(chunks) != 1 || string(chunks[0].Data) != "joined " || chunks[0].FirstLine != 2 || chunks[0].LastOfRun {
		t.Errorf("line 4 is in %+v, %v", chunks, err)
	}
}

// following has one report make several chunks.
func following(t *testing.T, s Store) {
	c := claimed(t, s, "a", lease)
	r := report(c, 1, 5, "")
	r.Encode = func(int64) (store.Chunk, error) {
		third := store.Chunk{First: 4, Last: 5, Lines: 2, Bytes: 30, Data: []byte("third")}
		second := store.Chunk{First: 3, Last: 3, Lines: 0, Bytes: 20, Data: []byte("second"), Next: &third}
		return store.Chunk{First: 1, Last: 2, Lines: 4, Bytes: 10, Data: []byte("first"), Next: &second}, nil
	}
	if _, err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want(t, s, "a", "first", "second", "third")
	if r := get(t, s, "a"); r.Events != 5 || r.Lines != 6 || r.EventBytes != 60 {
		t.Errorf("the run has %d events, %d lines and %d bytes, want 5, 6 and 60", r.Events, r.Lines, r.EventBytes)
	}
	chunks, err := s.Chunks(t.Context(), "a", 0, 1<<20)
	if err != nil || len(chunks) != 3 || chunks[1].FirstLine != 5 || chunks[2].FirstLine != 5 {
		t.Errorf("chunks %+v, %v; want the second and third to begin in line 5", chunks, err)
	}
}

// butOutput reads the chunks of a run without those that have only output, as they were reported and in the archive.
func butOutput(t *testing.T, s Store) {
	c := claimed(t, s, "a", lease)
	r := report(c, 1, 6, "")
	r.Ended = ended(run.Succeeded)
	r.Encode = func(int64) (store.Chunk, error) {
		third := store.Chunk{First: 5, Last: 6, Bytes: 30, Data: []byte("third")}
		second := store.Chunk{First: 3, Last: 4, Lines: 2, Bytes: 20, Data: []byte("second"), Output: true, Next: &third}
		return store.Chunk{First: 1, Last: 2, Lines: 4, Bytes: 10, Data: []byte("first"), Next: &second}, nil
	}
	if _, err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	check := func(after int64, wants string) {
		t.Helper()
		chunks, err := s.ChunksButOutput(t.Context(), "a", after, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range chunks {
			got += fmt.Sprintf("%d-%d %v %d %s%s; ", c.First, c.Last, c.Output, c.Bytes, c.Data, c.Object)
		}
		if got != wants {
			t.Errorf("after %d: got %s; want %s", after, got, wants)
		}
	}
	check(0, "1-2 false 10 first; 3-4 true 0 ; 5-6 false 30 third; ")
	check(2, "3-4 true 0 ; 5-6 false 30 third; ")
	chunks, err := s.Chunks(t.Context(), "a", 0, 1<<20)
	if err != nil || len(chunks) != 3 || !chunks[1].Output || string(chunks[1].Data) != "second" || chunks[1].Bytes != 20 {
		t.Fatalf("all chunks: %+v, %v", chunks, err)
	}
	time.Sleep(2 * time.Millisecond)
	if id, err := s.ClaimLog(t.Context(), "me", 0, lease); err != nil || id != "a" {
		t.Fatalf("claimed %q, %v", id, err)
	}
	for i := range chunks {
		chunks[i].Object, chunks[i].At, chunks[i].Size = "x", int64(i), 1
	}
	if err := s.KeepLog(t.Context(), "a", "me", 3, chunks); err != nil {
		t.Fatal(err)
	}
	check(0, "1-2 false 10 x; 3-4 true 0 ; 5-6 false 30 x; ")
}

func keepLog(t *testing.T, s Store) {
	ctx := t.Context()
	accept(t, s, newRun("waits"))
	if id, err := s.ClaimLog(ctx, "none", 0, lease); err != nil || id != "" {
		t.Errorf("claimed the log of %q, %v; no run is over", id, err)
	}
	if _, err := s.Cancel(ctx, "p", "waits", *ended(run.Cancelled)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.KeepSmallLogs(ctx, 0, 0, 10); n != 1 || err != nil {
		t.Errorf("%d small logs, %v, want 1", n, err)
	}
	over(t, s, "a", 2)
	if id, err := s.ClaimLog(ctx, "early", time.Hour, lease); err != nil || id != "" {
		t.Errorf("claimed the log of %q, %v; none ended an hour ago", id, err)
	}
	if id, err := s.ClaimLog(ctx, "one", 0, time.Millisecond); err != nil || id != "a" {
		t.Fatalf("claimed the log of %q, %v, want a", id, err)
	}
	var id string
	for end := time.Now().Add(time.Minute); id == ""; {
		var err error
		if id, err = s.ClaimLog(ctx, "two", 0, lease); err != nil || time.Now().After(end) {
			t.Fatalf("nobody gets the log after the first claim ran out: %v", err)
		}
	}
	if id, err := s.ClaimLog(ctx, "three", 0, lease); err != nil || id != "" {
		t.Errorf("two have the log of %q, %v", id, err)
	}
	moved := func(object string) []store.Chunk {
		return []store.Chunk{{First: 1, Last: 4, FirstLine: 1, Lines: 2, Bytes: 6, Checksum: 7, Object: object, At: 3, Size: 44}}
	}
	if err := s.KeepLog(ctx, "a", "one", 2, moved("late")); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a claim that ran out: %v, want %v", err, store.ErrNotHeld)
	}
	if err := s.KeepLog(ctx, "a", "two", 1, moved("changed")); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("a log that changed: %v, want %v", err, store.ErrNotHeld)
	}
	want(t, s, "a", "a0 ", "a1 ")
	if err := s.KeepLog(ctx, "a", "two", 2, moved("object")); err != nil {
		t.Fatal(err)
	}
	want(t, s, "a", "object@3+44")
	chunks, err := s.ChunksOfLines(ctx, "a", 2, 2, 1<<20)
	if err != nil || len(chunks) != 1 || chunks[0].Checksum != 7 || chunks[0].Bytes != 6 || !chunks[0].LastOfRun {
		t.Errorf("line 2 is in %+v, %v", chunks, err)
	}
	if err := s.KeepLog(ctx, "a", "two", 1, moved("again")); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("again: %v, want %v", err, store.ErrNotHeld)
	}
	if id, err := s.ClaimLog(ctx, "four", 0, lease); err != nil || id != "" {
		t.Errorf("claimed the log of %q, %v, which is moved", id, err)
	}
	objects, err := s.LogObjects(ctx, []string{"a", "waits", "none"})
	if err != nil || len(objects) != 1 || objects["a"] != "object" {
		t.Errorf("objects %v, %v", objects, err)
	}
	if n, err := s.LogBytes(ctx); n != 44 || err != nil {
		t.Errorf("logs take %d bytes, %v, want 44", n, err)
	}
}

func dropLogs(t *testing.T, s Store) {
	ctx := t.Context()
	for _, id := range []string{"a", "b", "c"} {
		over(t, s, id, 2)
	}
	running := claimed(t, s, "runs", lease)
	if _, err := s.Report(ctx, report(running, 1, 1, "x")); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newRun("waits"))
	if id, err := s.ClaimLog(ctx, "k", 0, lease); id != "a" || err != nil {
		t.Fatalf("claimed %q, %v", id, err)
	}
	if err := s.KeepLog(ctx, "a", "k", 2, []store.Chunk{{First: 1, Last: 4, FirstLine: 1, Lines: 2, Object: "o", Size: 10}}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.KeepSmallLogs(ctx, 0, 1<<20, 10); n != 2 || err != nil {
		t.Errorf("%d small logs, %v, want 2", n, err)
	}
	if got, err := s.DropLogs(ctx, store.Drop{Ended: time.Hour, Most: 10}); got.Runs != 0 || err != nil {
		t.Errorf("dropped %+v, %v; none is that old", got, err)
	}
	got, err := s.DropLogs(ctx, store.Drop{Free: 5, Most: 10})
	if err != nil || got.Runs != 1 || got.Bytes != 10 || !slices.Equal(got.Objects, []string{"o"}) {
		t.Errorf("dropped %+v, %v; want the log of the oldest run", got, err)
	}
	want(t, s, "a")
	if r := get(t, s, "a"); r.LogRemoved.IsZero() || r.Lines != 2 {
		t.Errorf("run a: %+v, want it without a log", r)
	}
	if r := get(t, s, "b"); !r.LogRemoved.IsZero() {
		t.Errorf("run b has no log: %+v", r)
	}
	if n, err := s.LogBytes(ctx); n != 12 || err != nil {
		t.Errorf("logs take %d bytes, %v, want 12", n, err)
	}
	if got, err := s.DropLogs(ctx, store.Drop{Most: 1}); got.Runs != 1 || err != nil {
		t.Errorf("dropped %+v, %v, want one", got, err)
	}
	want(t, s, "b")
	want(t, s, "c", "c0 ", "c1 ")
	if got, err := s.DropLogs(ctx, store.Drop{Most: 10}); got.Runs != 1 || err != nil {
		t.Errorf("dropped %+v, %v, want one", got, err)
	}
	want(t, s, "runs", "x")
	if err := s.KeepLog(ctx, "a", "k", 0, nil); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("keep a log that is removed: %v", err)
	}
	if id, err := s.ClaimLog(ctx, "l", 0, lease); id != "" || err != nil {
		t.Errorf("claimed the log of %q, %v, which is removed", id, err)
	}
	if req, err := s.Request(ctx, "p", "a"); err != nil || len(req) == 0 {
		t.Errorf("the request of a run without a log: %q, %v", req, err)
	}
}

func dropRuns(t *testing.T, s Store) {
	ctx := t.Context()
	ids := make([]string, 50)
	for i := range ids {
		ids[i] = fmt.Sprintf("%02d", i)
		over(t, s, ids[i], 1)
	}
	claimed(t, s, "runs", lease)
	accept(t, s, newRun("waits"))
	if got, err := s.DropRuns(ctx, store.Drop{Ended: time.Hour, Most: 100}); got.Runs != 0 || err != nil {
		t.Errorf("dropped %+v, %v; none is that old", got, err)
	}
	if got, err := s.DropRuns(ctx, store.Drop{Most: 45}); got.Runs != 45 || err != nil {
		t.Errorf("dropped %+v, %v, want 45", got, err)
	}
	for i, id := range ids {
		_, err := s.Run(ctx, "p", id)
		_, failed := s.Request(ctx, "p", id)
		if gone := i < 45; errors.Is(err, store.ErrNotFound) != gone || errors.Is(failed, store.ErrNotFound) != gone {
			t.Errorf("run %s: %v and %v", id, err, failed)
		}
		if gone := len(chunkTexts(t, s, id)) == 0; gone != (i < 45) {
			t.Errorf("run %s has no events: %t", id, gone)
		}
	}
	if got, err := s.DropRuns(ctx, store.Drop{Most: 100}); got.Runs != 5 || err != nil {
		t.Errorf("dropped %+v, %v, want 5", got, err)
	}
	for _, id := range []string{"runs", "waits"} {
		if r := get(t, s, id); r.Over {
			t.Errorf("run %s: %+v", id, r)
		}
	}
}

func references(t *testing.T, s Store) {
	if _, _, err := s.AddVersion(t.Context(), store.Version{Project: "p", Tool: "t", Manifest: []byte("manifest"), Digest: "d"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetDraft(t.Context(), store.Draft{Project: "p", Name: "d", Manifest: []byte("draft"), Tag: "d"}, nil); err != nil {
		t.Fatal(err)
	}
	over(t, s, "a", 1)
	accept(t, s, newRun("b"))
	var all []string
	if err := s.References(t.Context(), func(text []byte) { all = append(all, string(text)) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	if got := strings.Join(all, " "); got != `draft manifest {"id":"a"} {"id":"b"} {"status":"x"}` {
		t.Errorf("references %s", got)
	}
}

// logClaimsAtOnce has many ask for logs at once: each log is given to one of them.
func logClaimsAtOnce(t *testing.T, s Store) {
	const runs, askers = 20, 8
	for i := range runs {
		over(t, s, fmt.Sprintf("%02d", i), 1)
	}
	got, errs := make(chan string, runs*askers), make(chan error, askers)
	for a := range askers {
		go func() {
			for n := 0; ; n++ {
				id, err := s.ClaimLog(t.Context(), fmt.Sprint(a, "-", n), 0, lease)
				if err != nil || n > runs {
					errs <- err
					return
				}
				if id != "" {
					got <- id
				}
			}
		}()
	}
	for range askers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	close(got)
	times := map[string]int{}
	for id := range got {
		times[id]++
	}
	for i := range runs {
		if id := fmt.Sprintf("%02d", i); times[id] != 1 {
			t.Errorf("the log of run %s was given out %d times", id, times[id])
		}
	}
}
