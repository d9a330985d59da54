//go:build linux

package server

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/archive/s3"
	"github.com/mayfly-run/mayfly/internal/archive/s3/s3test"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// closing closes a store at the end of the test.
func closing(t *testing.T, db *sqlstore.Store, err error) *sqlstore.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// keeper returns a server that is not started, so that it moves and removes only what a test has it move and remove.
func keeper(t *testing.T, db Store, a archive.Storage) *Server {
	t.Helper()
	return New(Options{Store: db, Archive: a, Log: slog.Default(), Keep: Keep{ArchiveAfter: -1}})
}

func newKeeper(t *testing.T) *Server {
	t.Helper()
	db, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
	return keeper(t, closing(t, db, err), archive.Dir(t.TempDir()))
}

// chatty has a run that ends after so many reports, each of 40 lines and one piece without an end.
func chatty(t *testing.T, s *Server, id string, reports int) {
	t.Helper()
	ctx := t.Context()
	link := s.Link(defaultPool, "r", "instance0123456789012")
	if err := s.store.Accept(ctx, store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}")},
		&store.Lessee{Runner: link.holder(), Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	first, line := int64(1), 0
	for n := range reports {
		r := &api.Report{Holding: api.Holding{Run: id, Attempt: 1}, First: first}
		for range 40 {
			line++
			stream := []string{"stdout", "stderr"}[line/7%2]
			text := fmt.Sprintf("line %d %x\n", line, sha256.Sum256([]byte(fmt.Sprint(line))))
			if line%50 == 0 {
				text += "a piece of "
			}
			r.Events = append(r.Events, run.Event{Time: time.Unix(int64(line), 0).UTC(), Log: &run.Log{Stream: stream, Data: text}})
		}
		if n == reports-1 {
			r.Result = &run.Result{Status: run.Succeeded, Outputs: map[string]string{}}
			r.Events = append(r.Events, run.Event{State: &run.StateChange{State: run.Succeeded}}, run.Event{Result: r.Result})
		}
		if _, err := link.Report(ctx, r); err != nil {
			t.Fatal(err)
		}
		first += int64(len(r.Events))
	}
	time.Sleep(2 * time.Millisecond) // times are milliseconds: the next one ends later
}

// everything is all that a reader of a run's log may ask for.
func everything(t *testing.T, s *Server, id string) string {
	t.Helper()
	var all strings.Builder
	for _, w := range [][2]int64{{1, 10}, {1, 100_000}, {39, 42}, {777, 777}, {900, 1400}, {1601, 1700}, {90_000, 90_001}} {
		page := &api.LogPage{}
		if err := s.window(t.Context(), id, w[0], w[1], page); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, w, page.Lines)
	}
	for _, text := range []string{"LINE 12", "00", "nothing has this"} {
		page := &api.LogPage{}
		if err := s.find(t.Context(), id, 3, text, page); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, text, page.Lines, page.Next)
	}
	for _, after := range []int64{0, 1, 57, 1601} {
		for _, wait := range []bool{true, false} {
			w := httptest.NewRecorder()
			if err := s.stream(t.Context(), w, "p", id, after, wait); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, after, w.Body)
		}
	}
	return all.String()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("%s: the answers differ at byte %d of %d: %.200q, want %.200q", what, i, len(want), got[i:], want[i:])
	}
}

func stored(t *testing.T, s *Server, id string) []store.Chunk {
	t.Helper()
	chunks, err := s.store.Chunks(t.Context(), id, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

// inArchive checks how the chunks of an archived run are.
func inArchive(t *testing.T, s *Server, id string) {
	t.Helper()
	chunks := stored(t, s, id)
	for i, c := range chunks {
		if c.Object == "" || len(c.Data) > 0 || c.Size == 0 {
			t.Errorf("chunk %d of run %s is in the database", i, id)
		}
		if c.Bytes > mostChunk || c.Bytes < leastChunk && i < len(chunks)-1 {
			t.Errorf("chunk %d of run %s has %d bytes of events", i, id, c.Bytes)
		}
	}
	if len(chunks) == 0 {
		t.Errorf("run %s has no chunks", id)
	}
}

// TestArchive compares all answers about a run before its chunks are put together, after that, and after they were moved to the
// archive, for both stores and both archives.
func TestArchive(t *testing.T) {
	postgres, bucket := postgrestest.Start(t), s3test.Start(t)
	for name, open := range map[string]func(t *testing.T) (*sqlstore.Store, error){
		"SQLite": func(t *testing.T) (*sqlstore.Store, error) {
			return sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db"))
		},
		"PostgreSQL": func(t *testing.T) (*sqlstore.Store, error) {
			return sqlstore.OpenPostgres(t.Context(), postgres.Database(t), slog.Default())
		},
	} {
		for kind, to := range map[string]func(t *testing.T) (archive.Storage, error){
			"Dir": func(t *testing.T) (archive.Storage, error) { return archive.Dir(t.TempDir()), nil },
			"S3": func(t *testing.T) (archive.Storage, error) {
				return s3.Open(bucket.Bucket(t, "a/prefix"), s3.Options{})
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				db, err := open(t)
				db = closing(t, db, err)
				a, err := to(t)
				if err != nil {
					t.Fatal(err)
				}
				s := keeper(t, db, a)
				chatty(t, s, "run-1", 40)
				chatty(t, s, "run-small", 1)
				before, small := everything(t, s, "run-1"), everything(t, s, "run-small")
				if err := s.compactRun(t.Context(), smallChunks{run: "run-1", after: stored(t, s, "run-1")[3].Last}); err != nil {
					t.Fatal(err)
				}
				if n := len(stored(t, s, "run-1")); n >= 40 || n < 4 {
					t.Errorf("%d chunks are left of 40", n)
				}
				same(t, "compacted", everything(t, s, "run-1"), before)
				if err := s.archiveLogs(t.Context()); err != nil {
					t.Fatal(err)
				}
				inArchive(t, s, "run-1")
				same(t, "archived", everything(t, s, "run-1"), before)
				same(t, "small", everything(t, s, "run-small"), small)
				if c := stored(t, s, "run-small"); len(c) != 1 || c[0].Object != "" {
					t.Errorf("the small log is moved: %+v", c)
				}
				if err := s.sweep(t.Context(), 0); err != nil { // what is in use stays
					t.Fatal(err)
				}
				same(t, "swept", everything(t, s, "run-1"), before)
			})
		}
	}
}

// TestCompactsWhileReported checks that small chunks are put together as they come, by the server that takes them.
func TestCompactsWhileReported(t *testing.T) {
	s := newKeeper(t)
	chatty(t, s, "run-1", 40)
	for more := true; more; {
		select {
		case p := <-s.compactor.ready:
			if err := s.compactRun(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		default:
			more = false
		}
	}
	chunks := stored(t, s, "run-1")
	for i, c := range chunks[:len(chunks)-1] {
		if c.Bytes < leastChunk || c.Bytes > mostChunk {
			t.Errorf("chunk %d has %d bytes", i, c.Bytes)
		}
	}
	if len(s.compactor.pending) != 0 {
		t.Errorf("a run that is over has pending chunks: %+v", s.compactor.pending)
	}
}

// TestLargeReport checks that a report of more than a chunk's size makes several.
func TestLargeReport(t *testing.T) {
	s := newKeeper(t)
	logs := make([]run.Log, 60)
	for i := range logs {
		logs[i] = out(strings.Repeat(fmt.Sprint(i%10), 20_000) + "\n")
	}
	report(t, s, "run", [][]run.Log{logs})
	chunks := stored(t, s, "run")
	if len(chunks) < 8 {
		t.Errorf("%d chunks", len(chunks))
	}
	line := int64(1)
	for i, c := range chunks {
		if c.Bytes > mostChunk || c.FirstLine != line {
			t.Errorf("chunk %d has %d bytes and begins in line %d, want line %d", i, c.Bytes, c.FirstLine, line)
		}
		line += c.Lines
	}
	page := &api.LogPage{}
	if err := s.window(t.Context(), "run", 31, 31, page); err != nil || len(page.Lines) != 1 || page.Lines[0].Line != 31 || page.Lines[0].Text[:1] != "0" {
		t.Errorf("line 31: %+v, %v", page, err)
	}
}

var errKilled = errors.New("the server is killed")

// killed is a store of a server that is killed before it says where a log is.
type killed struct{ Store }

func (killed) KeepLog(context.Context, string, string, int, []store.Chunk) error { return errKilled }

// soon is a store whose claims end soon.
type soon struct{ Store }

func (s soon) ClaimLog(ctx context.Context, claim string, after, _ time.Duration) (string, error) {
	return s.Store.ClaimLog(ctx, claim, after, time.Millisecond)
}

func objects(t *testing.T, a archive.Storage, prefix string) (names []string) {
	t.Helper()
	if err := a.List(t.Context(), prefix, func(o archive.Object) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestKilledBetween has a server killed after it has put a log into the archive, and before the database knows: nothing is lost,
// another server moves it, and what the first one put is removed.
func TestKilledBetween(t *testing.T) {
	s := newKeeper(t)
	chatty(t, s, "run-1", 40)
	before := everything(t, s, "run-1")
	first := keeper(t, killed{soon{s.store}}, s.archive.In)
	if err := first.archiveLogs(t.Context()); !errors.Is(err, errKilled) {
		t.Fatalf("got %v, want %v", err, errKilled)
	}
	same(t, "killed", everything(t, s, "run-1"), before)
	orphan := objects(t, s.archive.In, logPrefix)
	if len(orphan) != 1 {
		t.Fatalf("the archive has %q", orphan)
	}
	for end := time.Now().Add(patience); stored(t, s, "run-1")[0].Object == "" && time.Now().Before(end); {
		if err := s.archiveLogs(t.Context()); err != nil { // when the claim has run out
			t.Fatal(err)
		}
	}
	inArchive(t, s, "run-1")
	if err := s.sweep(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := objects(t, s.archive.In, logPrefix); len(got) != 2 {
		t.Errorf("the archive has %q; what may just be made stays", got)
	}
	if err := s.sweep(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := objects(t, s.archive.In, logPrefix); len(got) != 1 || got[0] == orphan[0] {
		t.Errorf("the archive has %q, want another than %q", got, orphan)
	}
	same(t, "swept", everything(t, s, "run-1"), before)
}

// TestTwoMoveOne has two servers with the same log, of which the claim of the first has run out: it changes nothing, and leaves no object.
func TestTwoMoveOne(t *testing.T) {
	s := newKeeper(t)
	chatty(t, s, "run-1", 40)
	before := everything(t, s, "run-1")
	if id, err := s.store.ClaimLog(t.Context(), "slow", 0, time.Millisecond); id != "run-1" || err != nil {
		t.Fatalf("claimed %q, %v", id, err)
	}
	for end := time.Now().Add(patience); stored(t, s, "run-1")[0].Object == "" && time.Now().Before(end); {
		if err := s.archiveLogs(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.archiveLog(t.Context(), "run-1", "slow"); !errors.Is(err, store.ErrNotHeld) {
		t.Errorf("the slow one: %v, want %v", err, store.ErrNotHeld)
	}
	if got := objects(t, s.archive.In, logPrefix); len(got) != 1 || strings.Contains(got[0], "slow") {
		t.Errorf("the archive has %q", got)
	}
	same(t, "after both", everything(t, s, "run-1"), before)
}

// TestArchiveFails has the archive fail: the log stays where it is, and can be read.
func TestArchiveFails(t *testing.T) {
	s := newKeeper(t)
	chatty(t, s, "run-1", 40)
	before := everything(t, s, "run-1")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := keeper(t, soon{s.store}, archive.Dir(file))
	var what *archive.Error
	if err := broken.archiveLogs(t.Context()); !errors.As(err, &what) {
		t.Errorf("got %v, want an archive.Error", err)
	}
	same(t, "failed", everything(t, s, "run-1"), before)
}

// TestDamaged checks that wrong bytes are an error that says which, in the database and in the archive.
func TestDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlstore.OpenSQLite(t.Context(), file)
	s := keeper(t, closing(t, db, err), archive.Dir(t.TempDir()))
	dir, _ := s.archive.In.(archive.Dir)
	chatty(t, s, "run-1", 40)
	chatty(t, s, "run-2", 40)
	raw, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	damage := func(q string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(t.Context(), q, args...); err != nil {
			t.Fatal(err)
		}
	}
	says := func(what, where string) {
		t.Helper()
		_, err := s.getLog(t.Context(), &logQuery{InProject: InProject{"p"}, RunID: RunID{"run-1"}, Line: 1, Lines: 500})
		var p *api.Problem
		if !errors.As(err, &p) || p.Reason != run.CodeLogDamaged || !strings.Contains(p.Detail, "of run run-1 are damaged") {
			t.Errorf("%s: the answer is %v", what, err)
		}
		_, err = s.chunks(t.Context(), "run-1", 0, 1<<30)
		var d *store.DamagedError
		if !errors.As(err, &d) || d.Run != "run-1" || d.First < 1 || !strings.Contains(d.Where, where) {
			t.Errorf("%s: %v, want a DamagedError in %s", what, err, where)
		}
	}
	var good []byte
	if err := raw.QueryRowContext(t.Context(), `SELECT data FROM chunks WHERE run = 'run-1' AND first = 41`).Scan(&good); err != nil {
		t.Fatal(err)
	}
	damage(`UPDATE chunks SET run = 'elsewhere' WHERE run = 'run-1' AND first = 41`)
	one, err := s.store.Run(t.Context(), "p", "run-1")
	if err != nil {
		t.Fatal(err)
	}
	var d *store.DamagedError
	if err := s.eachEvent(t.Context(), one, func([]byte) error { return nil }); !errors.As(err, &d) || !strings.Contains(err.Error(), "events 41 to 80 are missing") {
		t.Errorf("without a chunk: %v", err)
	}
	if err := s.eachButOutput(t.Context(), one, func([]byte) error { return nil }); !errors.As(err, &d) || !strings.Contains(err.Error(), "events 41 to 80 are missing") {
		t.Errorf("without a chunk of output: %v", err)
	}
	if err := s.compactRun(t.Context(), smallChunks{run: "run-1"}); err != nil {
		t.Error(err)
	}
	if chunks, err := s.store.Chunks(t.Context(), "run-1", 80, 1<<30); err != nil || len(chunks) == 0 || chunks[0].First != 81 {
		t.Errorf("compaction across what is missing: %v, %v", chunks, err)
	}
	if _, _, err := s.packLog(t.Context(), "run-1", "x", io.Discard); !errors.As(err, &d) || d.First != 41 || d.Last != 80 {
		t.Errorf("a log without a chunk is archived: %v", err)
	}
	damage(`UPDATE chunks SET run = 'run-1' WHERE run = 'elsewhere'`)
	bad := append([]byte{}, good...)
	bad[len(bad)/2] ^= 1
	damage(`UPDATE chunks SET data = ? WHERE run = 'run-1' AND first = 41`, bad)
	says("a bit in the database", "the database")
	// Who asks for other events doesn't read output.
	results := 0
	err = s.eachButOutput(t.Context(), one, func(line []byte) error {
		e, err := ofType(run.TypeResult, line)
		if e != nil {
			results++
		}
		return err
	})
	if err != nil || results != 1 {
		t.Errorf("beside the output are %d results, %v", results, err)
	}
	// Others are moved all the same.
	if err := s.archiveLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	inArchive(t, s, "run-2")
	damage(`UPDATE chunks SET data = ? WHERE run = 'run-1' AND first = 41`, good)
	damage(`UPDATE runs SET claim_until = 0 WHERE id = 'run-1'`)
	if err := s.archiveLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	inArchive(t, s, "run-1")
	path := filepath.Join(string(dir), stored(t, s, "run-1")[0].Object)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad = append([]byte{}, whole...)
	bad[len(bad)/5] ^= 1
	write(bad)
	says("a bit in the archive", "the archive's logs/")
	write(whole[:100])
	says("a short object", "the archive's logs/")
	write(append([]byte{0}, whole...))
	says("other places", "the archive's logs/")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	says("no object", "the archive's logs/")
	write(whole)
	everything(t, s, "run-1")
}

// TestRetention removes logs and runs by age and size, and never those of runs that aren't over.
func TestRetention(t *testing.T) {
	s := newKeeper(t)
	for _, id := range []string{"run-1", "run-2", "run-3"} {
		chatty(t, s, id, 40)
	}
	report(t, s, "run-runs", [][]run.Log{{out("hello\n")}})
	if err := s.archiveLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	size := func(id string) (n int64) {
		for _, c := range stored(t, s, id) {
			n += c.Size
		}
		return n
	}
	retain := func(k Keep) {
		t.Helper()
		s.keep = k
		if err := s.retain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	logs := func() int { return len(objects(t, s.archive.In, logPrefix)) }
	retain(Keep{Runs: time.Hour, Logs: time.Hour, Bytes: size("run-1") + size("run-2") + size("run-3")})
	if n := logs(); n != 3 {
		t.Errorf("%d logs are left, want 3", n)
	}
	retain(Keep{Bytes: size("run-2") + size("run-3")})
	if n := logs(); n != 2 || size("run-1") != 0 || size("run-2") == 0 {
		t.Errorf("%d logs are left, want those of run-2 and run-3", n)
	}
	for what, get := range map[string]func() error{
		"log": func() error {
			_, err := s.getLog(t.Context(), &logQuery{InProject: InProject{"p"}, RunID: RunID{"run-1"}, Line: 1, Lines: 500})
			return err
		},
		"stream that had begun": func() error { return s.stream(t.Context(), httptest.NewRecorder(), "p", "run-1", 7, true) },
	} {
		var p *api.Problem
		if err := get(); !errors.As(err, &p) || p.Status != http.StatusGone || p.Reason != run.CodeLogRemoved ||
			!strings.HasPrefix(p.Detail, "the log of run run-1 was removed on 20") {
			t.Errorf("the %s of a run without one: %v", what, err)
		}
	}
	retain(Keep{Logs: time.Millisecond})
	if n := logs(); n != 0 {
		t.Errorf("%d logs are left", n)
	}
	if r, err := s.store.Run(t.Context(), "p", "run-3"); err != nil || r.LogRemoved.IsZero() {
		t.Errorf("run-3: %+v, %v", r, err)
	}
	retain(Keep{Runs: time.Millisecond})
	for _, id := range []string{"run-1", "run-2", "run-3"} {
		if _, err := s.store.Run(t.Context(), "p", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want %v", id, err, store.ErrNotFound)
		}
	}
	page := &api.LogPage{}
	if err := s.window(t.Context(), "run-runs", 1, 10, page); err != nil || len(page.Lines) != 1 {
		t.Errorf("the run that isn't over has %+v, %v", page, err)
	}
}

// TestSweepContents deletes contents that nothing names, once they are old.
func TestSweepContents(t *testing.T) {
	s := newKeeper(t)
	ctx := t.Context()
	digests := map[string]string{}
	for _, what := range []string{"version", "request", "result", "nobody", "renewed"} {
		digests[what] = archive.Digest([]byte(what))
		if err := s.archive.Put(ctx, digests[what], strings.NewReader(what)); err != nil {
			t.Fatal(err)
		}
		if err := s.store.AddContents(ctx, "p", []string{digests[what]}); err != nil {
			t.Fatal(err)
		}
		name, err := archive.ContentName(digests[what])
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := s.archive.In.(archive.Dir)
		old := time.Now().Add(-2 * orphaned)
		if err := os.Chtimes(filepath.Join(string(dir), name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	fresh := archive.Digest([]byte("fresh"))
	if err := s.archive.Put(ctx, fresh, strings.NewReader("fresh")); err != nil {
		t.Fatal(err)
	}
	digests["fresh"] = fresh
	if err := s.store.AddContents(ctx, "p", []string{fresh}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.missing(ctx, &struct {
		InProject
		Body api.Digests
	}{InProject{"p"}, api.Digests{Digests: []string{digests["renewed"]}}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.store.AddVersion(ctx, store.Version{Project: "p", Tool: "t", Manifest: []byte(`{"files":[{"digest":"` + digests["version"] + `"}]}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Accept(ctx, store.NewRun{ID: "a", Project: "p", Request: []byte(`{"tool":{"files":"` + digests["request"] + `"}}`)}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Cancel(ctx, "p", "a", store.Ended{Status: run.Cancelled, Result: []byte(`"` + digests["result"] + `"`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(ctx, orphaned); err != nil {
		t.Fatal(err)
	}
	for what, digest := range digests {
		r, _, err := s.archive.Open(ctx, digest)
		if gone := errors.Is(err, fs.ErrNotExist); gone != (what == "nobody") {
			t.Errorf("the content of %s: %v", what, err)
		}
		if noted, err := s.store.Contents(ctx, "p", []string{digest}); err != nil || noted[digest] == (what == "nobody") {
			t.Errorf("the content of %s is noted as sent: %v, %v", what, noted, err)
		}
		if err == nil {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
			r.Close()
		}
	}
}

// TestKeepsUp has a started server move a log by itself.
func TestKeepsUp(t *testing.T) {
	first := newKeeper(t)
	chatty(t, first, "run-1", 40)
	before := everything(t, first, "run-1")
	s := New(Options{Store: first.store, Archive: first.archive.In, Keep: Keep{ArchiveAfter: -1, Every: time.Millisecond}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for end := time.Now().Add(patience); stored(t, s, "run-1")[0].Object == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log isn't moved")
		}
	}
	same(t, "moved", everything(t, s, "run-1"), before)
}

// forgetting is a store that counts how often it is told to forget.
type forgetting struct {
	Store
	runners, answers atomic.Int64
}

func (f *forgetting) ForgetRunners(ctx context.Context, within time.Duration) error {
	f.runners.Add(1)
	return f.Store.ForgetRunners(ctx, within)
}

func (f *forgetting) ForgetAnswers(ctx context.Context) error {
	f.answers.Add(1)
	return f.Store.ForgetAnswers(ctx)
}

// TestForgets checks that a server forgets old runners and answers from time to time.
func TestForgets(t *testing.T) {
	s := newKeeper(t)
	f := &forgetting{Store: s.store}
	s.store, s.keep.Every = f, time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.forget(ctx); close(ended) }()
	for end := time.Now().Add(time.Minute); f.runners.Load() == 0 || f.answers.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it forgets nothing")
		}
	}
	stop()
	<-ended
}
