//go:build linux

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/storetest"
)

// openPostgres opens a database, and closes it at the end of the test.
func openPostgres(t *testing.T, address string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), address, slog.Default())
	return closing(t, s, err)
}

func TestPostgres(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := postgrestest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Store { return openPostgres(t, server.Database(t)) })
	// Two servers on one database.
	for name, test := range map[string]func(*testing.T, ...storetest.Store){
		"ManyWriters": storetest.ManyWriters, "SameAtOnce": storetest.SameAtOnce, "ClaimsAtOnce": storetest.ClaimsAtOnce,
		"AuditAtOnce": storetest.AuditAtOnce, "RemoveAtOnce": storetest.RemoveAtOnce, "Histories": storetest.Histories, "LimitsAtOnce": storetest.LimitsAtOnce, "OnceAtOnce": storetest.OnceAtOnce, "EndsAtOnce": storetest.EndsAtOnce, "SetAtOnce": storetest.SetAtOnce,
		"DraftsAtOnce": storetest.DraftsAtOnce, "MostDrafts": storetest.MostDrafts,
	} {
		t.Run("Replicas/"+name, func(t *testing.T) {
			address := server.Database(t)
			test(t, openPostgres(t, address), openPostgres(t, address))
		})
	}
	t.Run("Migrations", func(t *testing.T) { migrateAtOnce(t, server.Database(t)) })
	t.Run("NotesContents", func(t *testing.T) {
		address := server.Database(t)
		notesContents(t, func() *Store { return openPostgres(t, address) })
	})
	t.Run("LastDraft", func(t *testing.T) {
		address := server.Database(t)
		lastDraft(t, openPostgres(t, address), openPostgres(t, address))
	})
	t.Run("Deadlock", func(t *testing.T) {
		address := server.Database(t)
		deadlock(t, openPostgres(t, address), openPostgres(t, address))
	})
	t.Run("ManyTogether", func(t *testing.T) { manyTogether(t, openPostgres(t, server.Database(t))) })
	t.Run("Large", func(t *testing.T) { sendLarge(t, openPostgres(t, server.Database(t))) })
	t.Run("StepFirst", func(t *testing.T) { stepFirst(t, openPostgres(t, server.Database(t))) })
	t.Run("StepEnds", func(t *testing.T) {
		address := server.Database(t)
		stepEnds(t, openPostgres(t, address), openPostgres(t, address))
	})
	for _, forward := range []bool{false, true} {
		t.Run(fmt.Sprintf("StepsOfTwo/%v", forward), func(t *testing.T) {
			address := server.Database(t)
			stepsOfTwo(t, openPostgres(t, address), openPostgres(t, address), forward)
		})
	}
	t.Run("Overtaken", func(t *testing.T) {
		address := server.Database(t)
		overtaken(t, openPostgres(t, address), openPostgres(t, address))
	})
	t.Run("ClaimPasses", func(t *testing.T) {
		address := server.Database(t)
		claimPasses(t, openPostgres(t, address), openPostgres(t, address))
	})
	t.Run("Late", func(t *testing.T) { late(t, openPostgres(t, server.Database(t))) })
	t.Run("UnsureCommit", func(t *testing.T) { unsureCommit(t, openPostgres(t, server.Database(t))) })
}

// sendLarge writes more in a group than is sent at once.
func sendLarge(t *testing.T, s *Store) {
	want := make([]byte, mostSent-1)
	err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		for i := range 3 {
			tx.add(newResults, fmt.Sprint(i), want)
			tx.add(newRequests, fmt.Sprint(i), []byte("{}"))
		}
		n, err := tx.exec(ctx, `DELETE FROM requests`)
		if n != 3 {
			t.Errorf("%d requests were written; want 3", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	err = s.read(t.Context(), func(r row) error {
		n := 0
		err := r.Scan(&n)
		sizes = append(sizes, n)
		return err
	}, `SELECT length(result) FROM results ORDER BY run`)
	if want := []int{mostSent - 1, mostSent - 1, mostSent - 1}; err != nil || !slices.Equal(sizes, want) {
		t.Errorf("the results have %v bytes, %v; want %v", sizes, err, want)
	}
}

// TestPostgresRestarts has its own server, since one with few databases starts sooner.
func TestPostgresRestarts(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server := postgrestest.Start(t)
	t.Run("Wake", func(t *testing.T) {
		address := server.Database(t)
		wakeOthers(t, server, openPostgres(t, address), openPostgres(t, address))
	})
	t.Run("OwnWrites", func(t *testing.T) {
		address := server.Database(t)
		ownWrites(t, address, openPostgres(t, address))
	})
	t.Run("Load", func(t *testing.T) { restart(t, server, openPostgres(t, server.Database(t))) })
}

// migrateAtOnce opens a new database several times at once.
func migrateAtOnce(t *testing.T, address string) {
	errs := make(chan error)
	const servers = 4
	for range servers {
		go func() {
			s, err := OpenPostgres(t.Context(), address, slog.Default())
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range servers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// accept has runs accepted.
func accept(t *testing.T, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Accept(t.Context(), store.NewRun{ID: id, Project: "p", Pool: "default", Request: []byte("{}")}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// deadlock has two transactions wait for each other: both writes come to pass.
func deadlock(t *testing.T, s, other *Store) {
	accept(t, s, "a", "b")
	const change = `UPDATE queue SET bytes = bytes + 1 WHERE run = ?`
	var begun sync.WaitGroup
	begun.Add(2)
	errs := make(chan error)
	for s, order := range map[*Store][2]string{s: {"a", "b"}, other: {"b", "a"}} {
		go func() {
			first := sync.OnceFunc(func() {
				begun.Done()
				begun.Wait()
			})
			errs <- s.write(t.Context(), func(ctx context.Context, tx *tx) error {
				_, err := tx.exec(ctx, change, order[0])
				if err != nil {
					return err
				}
				first()
				_, err = tx.exec(ctx, change, order[1])
				return err
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"a", "b"} {
		if r, err := s.Run(t.Context(), "p", id); err != nil || r.EventBytes != 2 {
			t.Errorf("run %s was changed %d times, %v, want 2", id, r.EventBytes, err)
		}
	}
}

// late has reads and writes end as if they took too long, and by a caller's deadline: neither is a database that can't be reached.
func late(t *testing.T, s *Store) {
	const cancelled = `SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(600)`
	none := func(row) error { return nil }
	read := s.read(t.Context(), none, cancelled)
	write := s.write(t.Context(), func(ctx context.Context, tx *tx) error { return tx.rows(ctx, none, cancelled) })
	for what, err := range map[string]error{"read": read, "write": write} {
		if !errors.Is(err, store.ErrSlow) || errors.Is(err, store.ErrUnreachable) {
			t.Errorf("the %s: %v, want %v", what, err, store.ErrSlow)
		}
		if n := strings.Count(err.Error(), "57014"); n != 1 {
			t.Errorf("the %s: %v: the error is there %d times", what, err, n)
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := s.read(ctx, none, `SELECT 1`); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnreachable) {
		t.Errorf("after the caller's deadline: %v, want %v", err, context.DeadlineExceeded)
	}
	accept(t, s, "a")
}

// unsureCommit breaks a connection before its COMMIT: each write of the group fails, and is carried out once only.
func unsureCommit(t *testing.T, s *Store) {
	done := [2]int{}
	group := make([]*write, len(done))
	for i := range done {
		group[i] = &write{ctx: t.Context(), done: make(chan error, 1), do: func(ctx context.Context, tx *tx) error {
			done[i]++
			if i > 0 {
				return nil
			}
			pid := 0
			err := tx.rows(ctx, func(rows row) error { return rows.Scan(&pid) }, `SELECT pg_backend_pid()`)
			if err != nil {
				return err
			}
			// With a timeout, it waits until the other process has ended.
			return s.read(ctx, func(row) error { return nil }, `SELECT pg_terminate_backend(?, 60000)`, pid)
		}}
	}
	if c := s.writer.carryOut(nil, group); c != nil {
		t.Error("the connection is kept")
	}
	for i, one := range group {
		if err := <-one.done; !errors.Is(err, store.ErrUnsure) {
			t.Errorf("write %d: %v, want %v", i, err, store.ErrUnsure)
		}
	}
	if done != [2]int{1, 1} {
		t.Errorf("the writes were carried out %v times, want once", done)
	}
	accept(t, s, "a")
}

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// wakeOthers has one server write, and the other one hear of each kind of writing, also after a restart of PostgreSQL.
func wakeOthers(t *testing.T, server *postgrestest.Server, s, other *Store) {
	var got []store.Claimed
	report := func(count int64, ended *store.Ended) error {
		_, err := s.Report(t.Context(), store.Report{
			Hold: store.Hold{Run: got[0].Run, Attempt: 1}, Runner: "r", Lease: time.Hour, First: 1, Count: count, Ended: ended,
			Encode: func(int64) (store.Chunk, error) { return store.Chunk{First: 1, Last: 1, Data: []byte{}}, nil },
		})
		return err
	}
	result := store.Ended{Status: run.Failed, Result: []byte("{}")}
	expiring := func() error {
		short := store.Lessee{Runner: "r", Lease: time.Millisecond}
		err := s.Accept(t.Context(), store.NewRun{ID: "e", Project: "p", Request: []byte("{}")}, &short)
		for ids := []string(nil); err == nil && len(ids) == 0; {
			ids, err = s.Expire(t.Context(), 1, func(store.Claimed) (store.Ended, error) { return result, nil })
		}
		return err
	}
	for _, step := range []struct {
		name  string
		write func() error
		only  bool // events
	}{
		{"accept", func() error {
			return s.Accept(t.Context(), store.NewRun{ID: "a", Project: "p", Pool: "default", Request: []byte("{}")}, nil)
		}, false},
		{"accept another", func() error {
			return s.Accept(t.Context(), store.NewRun{ID: "b", Project: "p", Pool: "default", Request: []byte("{}")}, nil)
		}, false},
		{"cancel", func() error { _, err := s.Cancel(t.Context(), "p", "b", result); return err }, false},
		{"events", func() (err error) {
			if got, err = s.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Hour}, Pool: "default", Most: 1}); err != nil {
				return err
			}
			return report(1, nil)
		}, true},
		{"expire", expiring, false},
		{"restart", func() error { server.Restart(t); return nil }, false}, // whoever listens again may have missed something
		{"accept after a restart", func() error {
			return s.Accept(t.Context(), store.NewRun{ID: "c", Project: "p", Pool: "none", Request: []byte("{}")}, nil)
		}, false},
		{"accept another after a restart", func() error {
			return s.Accept(t.Context(), store.NewRun{ID: "d", Project: "p", Pool: "none", Request: []byte("{}")}, nil)
		}, false},
	} {
		// What came before must not count: the first signal is that of the connection.
		if step.name == "accept" {
			<-other.Changed()
			<-other.Events()
		}
		if err := step.write(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		select {
		case <-other.Events():
		case <-time.After(patience):
			t.Fatalf("%s: the other server hears nothing", step.name)
		}
		if step.only {
			select {
			case <-other.Changed():
				t.Errorf("%s: the other server hears of more than events", step.name)
			default: // it would have come before the other signal
			}
			continue
		}
		select {
		case <-other.Changed():
		case <-time.After(patience):
			t.Fatalf("%s: the other server hears only of events", step.name)
		}
	}
}

// ownWrites checks that a server isn't woken by what it writes itself, although others hear of it.
func ownWrites(t *testing.T, address string, s *Store) {
	<-s.Changed() // of the new connection
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "LISTEN mayfly"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 20 {
		accept(t, s, fmt.Sprint(i))
		if _, err := conn.WaitForNotification(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Changed():
			t.Fatal("the server is woken by its own write")
		default:
		}
	}
}

// restart kills PostgreSQL under load, twice: what was acknowledged is there, and after each restart everything works again.
func restart(t *testing.T, server *postgrestest.Server, s *Store) {
	const workers = 8
	var (
		stop            = make(chan struct{})
		work            sync.WaitGroup
		mu              sync.Mutex
		accepted, ended []string
		failed          int
	)
	note := func(to *[]string, id string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed++
		} else {
			*to = append(*to, id)
		}
	}
	for w := range workers {
		runner := fmt.Sprint("r", w)
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", w, n)
				err := s.Accept(t.Context(), store.NewRun{ID: id, Project: "p", Pool: "default", Request: []byte("{}")}, nil)
				note(&accepted, id, err)
				if err != nil {
					time.Sleep(10 * time.Millisecond) // as clients do; many connections would keep PostgreSQL from starting
					continue
				}
				got, err := s.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: runner, Lease: time.Hour}, Pool: "default", Most: 2})
				if err != nil {
					note(nil, "", err)
				}
				for _, c := range got {
					_, err := s.Report(t.Context(), store.Report{
						Hold: store.Hold{Run: c.Run, Attempt: c.Attempt}, Runner: runner, Lease: time.Hour, First: 1, Count: 1,
						Encode: func(int64) (store.Chunk, error) {
							return store.Chunk{First: 1, Last: 1, Bytes: 1, Data: []byte(c.Run)}, nil
						},
						Ended: &store.Ended{Status: run.Succeeded, Result: []byte("{}")},
					})
					note(&ended, c.Run, err)
				}
			}
		})
	}
	// progress waits until every worker can have had both an accepted and an ended run since.
	progress := func() {
		t.Helper()
		mu.Lock()
		a, e := len(accepted), len(ended)
		mu.Unlock()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			goesOn := len(accepted) > a+5*workers && len(ended) > e+5*workers
			mu.Unlock()
			if goesOn {
				return
			}
			if time.Now().After(end) {
				t.Error("nothing is written any longer")
				return
			}
		}
	}
	progress()
	for range 2 {
		server.Restart(t)
		progress()
	}
	close(stop)
	work.Wait()
	// A restart while nothing is written costs no write.
	server.Restart(t)
	for i := range 2 * postgres.writers {
		id := fmt.Sprint("after", i)
		accept(t, s, id)
		accepted = append(accepted, id)
	}
	t.Logf("%d runs accepted and %d ended, %d writes failed", len(accepted), len(ended), failed)
	for _, id := range accepted {
		if _, err := s.Run(t.Context(), "p", id); err != nil {
			t.Errorf("the accepted run %s: %v", id, err)
		}
	}
	for _, id := range ended {
		if r, err := s.Run(t.Context(), "p", id); err != nil || !r.Over {
			t.Errorf("the ended run %s: %+v, %v", id, r, err)
		}
		if chunks, err := s.Chunks(t.Context(), id, 0, 1<<20); err != nil || len(chunks) != 1 || string(chunks[0].Data) != id {
			t.Errorf("the ended run %s has the events %v, %v", id, chunks, err)
		}
	}
}

// overtaken has another server give an attempt to another runner after a group has read where its run is, and before it writes.
func overtaken(t *testing.T, s, other *Store) {
	const runner, next = "p/x@1", "p/y@2"
	again := func(store.Claimed) (store.Ended, error) { return store.Ended{Again: true}, nil }
	give := func(ctx context.Context, _ *tx) error {
		_, _, err := other.Reclaim(ctx, runner, nil, again)
		if err == nil {
			_, err = other.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: next, Lease: time.Hour}, Pool: "default", Free: store.Unbounded(), Most: 1})
		}
		return err
	}
	for name, ended := range map[string]*store.Ended{"on": nil, "end": {Status: run.Succeeded, Result: []byte("{}")}} {
		n := store.NewRun{ID: name, Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), Retries: 1}
		if err := s.Accept(t.Context(), n, &store.Lessee{Runner: runner, Lease: time.Hour}); err != nil {
			t.Fatal(err)
		}
		report := func(first int64, ended *store.Ended) error {
			_, err := s.Report(t.Context(), store.Report{
				Hold: store.Hold{Run: name, Attempt: 1}, Runner: runner, Lease: time.Hour, First: first, Count: 1, Ended: ended,
				Encode: func(before int64) (store.Chunk, error) {
					return store.Chunk{First: before + 1, Last: before + 1, Data: []byte("y")}, nil
				},
			})
			return err
		}
		if err := report(1, nil); err != nil {
			t.Fatal(err)
		}
		errs := s.together([]func() error{
			func() error { return s.write(t.Context(), give) },
			func() error { return report(2, ended) },
		})
		if errs[0] != nil || !errors.Is(errs[1], store.ErrNotHeld) {
			t.Errorf("%s: %v", name, errs)
		}
		if r, err := s.Run(t.Context(), "p", name); err != nil || r.Over || r.Runner != next || r.Attempt != 2 || r.Events != 1 {
			t.Errorf("%s: the run is %+v, %v", name, r, err)
		}
	}
}

// claimPasses claims runs while another server has the first one: the others come in their order, and as many as fit without it.
func claimPasses(t *testing.T, s, other *Store) {
	const names = "abcd"
	for _, name := range names {
		n := store.NewRun{ID: string(name), Project: "p", Tool: "t", Kind: "tool", Pool: "default", Size: store.Size{Memory: 1}, Request: []byte(string(name))}
		if err := s.Accept(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []store.Claimed
	err := other.write(t.Context(), func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE queue SET bytes = bytes WHERE run = 'a'`)
		if err == nil {
			got, err = s.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Hour}, Pool: "default", Free: store.Size{Memory: 2}, Most: 3})
		}
		return err
	})
	if err != nil || len(got) != 2 || got[0].Run != "b" || got[1].Run != "c" || string(got[1].Request) != "c" || got[1].Attempt != 1 {
		t.Errorf("claimed %+v, %v", got, err)
	}
}

// stepFirst has a report of a step lock the step before its workflow, as all others do, also in a group.
func stepFirst(t *testing.T, s *Store) {
	ctx := t.Context()
	err := s.AcceptWorkflow(ctx, store.NewRun{ID: "w", Project: "p", Tool: "w", Kind: "workflow", Request: []byte("{}")}, store.StepForward{Run: "w", Within: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	n := store.NewRun{ID: "s", Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), Parent: store.Parent{Run: "w", Step: "a"}}
	if err := s.Accept(ctx, n, &store.Lessee{Runner: "p/x@1", Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	encode := func(before int64) (store.Chunk, error) {
		return store.Chunk{First: before + 1, Last: before + 1, Data: []byte("y")}, nil
	}
	var locked error
	for _, err := range s.together([]func() error{
		func() error {
			_, err := s.Report(ctx, store.Report{
				Hold: store.Hold{Run: "s", Attempt: 1}, Runner: "p/x@1", Lease: time.Hour, First: 1, Count: 1, Encode: encode,
				EncodeFor: func(_ store.Parent, before int64) (store.Chunk, error) {
					_, locked = s.db.ExecContext(ctx, `SELECT run FROM queue WHERE run = 's' FOR UPDATE NOWAIT`)
					return encode(before)
				},
			})
			return err
		},
		func() error { return s.write(ctx, func(context.Context, *tx) error { return nil }) },
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	const lockNotAvailable = "55P03"
	var p *pgconn.PgError
	if !errors.As(locked, &p) || p.Code != lockNotAvailable {
		t.Errorf("the step can be locked by another one: %v", locked)
	}
}

// stepEnds has a step end while its workflow goes forward on another server, which asks for the end of that step: one of them waits for the other, and
// the database gives neither up, as it does one of two that wait for each other.
func stepEnds(t *testing.T, s, other *Store) {
	ctx := t.Context()
	err := s.AcceptWorkflow(ctx, store.NewRun{ID: "w", Project: "p", Tool: "w", Kind: "workflow", Request: []byte("{}")}, store.StepForward{Run: "w", Within: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	n := store.NewRun{ID: "s", Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), Parent: store.Parent{Run: "w", Step: "a"}}
	if err := s.Accept(ctx, n, &store.Lessee{Runner: "p/x@1", Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	encode := func(before int64) (store.Chunk, error) {
		return store.Chunk{First: before + 1, Last: before + 1, Data: []byte("y")}, nil
	}
	var failed atomic.Int64
	for _, one := range []*Store{s, other} {
		one.Observe(func(w store.Written) {
			if w.Failed {
				failed.Add(1)
			}
		}, false)
	}
	begun := false
	done := make(chan error, 1)
	_, err = s.Report(ctx, store.Report{
		Hold: store.Hold{Run: "s", Attempt: 1}, Runner: "p/x@1", Lease: time.Hour, First: 1, Count: 1, Encode: encode,
		Ended: &store.Ended{Status: run.Succeeded, Result: []byte("{}")},
		EncodeFor: func(_ store.Parent, before int64) (store.Chunk, error) {
			if !begun {
				begun = true
				go func() {
					done <- other.StepForward(ctx, store.StepForward{
						Run: "w", Entries: [][]byte{[]byte("x")}, Within: time.Hour, End: []store.StepEnd{{Run: "s"}},
						Encode: encode,
					})
				}()
				awaitLock(t, s)
			}
			return encode(before)
		},
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
	if n := failed.Load(); n > 0 {
		t.Errorf("the database has given up %d transactions in favour of others", n)
	}
}

// awaitLock returns when a transaction waits for another one.
func awaitLock(t *testing.T, s *Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the last resort, if none ever waits
	defer cancel()
	for n := 0; n == 0; time.Sleep(time.Millisecond) {
		err := s.read(ctx, func(rows row) error { return rows.Scan(&n) },
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// lastDraft has a server make the last draft that a project may have while another one does so: that one waits, and makes none.
func lastDraft(t *testing.T, s, other *Store) {
	ctx := t.Context()
	_, err := s.writing.ExecContext(ctx, `INSERT INTO drafts (project, name, kind, definition, manifest, tag, base, changed, changed_by)
		SELECT 'p', CAST(n AS TEXT), '', '', '', 'x', 0, 0, '' FROM generate_series(1, $1) n`, store.MostDrafts-1)
	if err != nil {
		t.Fatal(err)
	}
	answer, waits := make(chan error, 1), make(chan struct{})
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		if err := roomForDraft(ctx, tx, "p"); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `INSERT INTO drafts (project, name, kind, definition, manifest, tag, base, changed, changed_by) VALUES ('p', 'a', '', '', '', 'x', 0, 0, '')`); err != nil {
			return err
		}
		go func() {
			_, err := other.SetDraft(ctx, store.Draft{Project: "p", Name: "b", Tag: "x", Manifest: []byte("{}")}, nil)
			answer <- err
		}()
		go func() {
			awaitLock(t, s)
			close(waits)
		}()
		select {
		case <-waits:
		case err := <-answer:
			answer <- err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-answer; !errors.Is(err, store.ErrTooManyDrafts) {
		t.Errorf("%v", err)
	}
}

// stepsOfTwo has two servers write groups about two workflows, in opposite orders: reports on their steps, and the same or steps forward. One of them
// waits for the other, and the database gives neither up.
func stepsOfTwo(t *testing.T, s, other *Store, forward bool) {
	ctx := t.Context()
	const runner = "p/x@1"
	for _, w := range []string{"v", "w"} {
		if err := s.AcceptWorkflow(ctx, store.NewRun{ID: w, Project: "p", Tool: "w", Kind: "workflow", Request: []byte("{}")}, store.StepForward{Run: w, Within: time.Hour}); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{w + "1", w + "2"} {
			n := store.NewRun{ID: id, Project: "p", Tool: "t", Kind: "tool", Pool: "default", Request: []byte("{}"), Parent: store.Parent{Run: w, Step: id}}
			if err := s.Accept(ctx, n, &store.Lessee{Runner: runner, Lease: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
	}
	encode := func(before int64) (store.Chunk, error) {
		return store.Chunk{First: before + 1, Last: before + 1, Data: []byte("y")}, nil
	}
	report := func(s *Store, id string, meanwhile func()) func() error {
		encodeFor := func(_ store.Parent, before int64) (store.Chunk, error) {
			meanwhile()
			return encode(before)
		}
		return func() error {
			_, err := s.Report(ctx, store.Report{
				Hold: store.Hold{Run: id, Attempt: 1}, Runner: runner, Lease: time.Hour, First: 1, Count: 1, Encode: encode, EncodeFor: encodeFor,
			})
			return err
		}
	}
	var tries atomic.Int64
	count := func(s *Store) func() error {
		return func() error { return s.write(ctx, func(context.Context, *tx) error { tries.Add(1); return nil }) }
	}
	theirs := []func() error{count(other)}
	for _, w := range []string{"w", "v"} {
		if forward {
			theirs = append(theirs, func() error {
				return other.StepForward(ctx, store.StepForward{Run: w, Entries: [][]byte{[]byte("x")}, Within: time.Hour, Encode: encode})
			})
		} else {
			theirs = append(theirs, report(other, w+"1", func() {}))
		}
	}
	done := make(chan []error, 1)
	meanwhile := sync.OnceFunc(func() {
		go func() { done <- other.together(theirs) }()
		awaitLock(t, s)
	})
	errs := s.together([]func() error{count(s), report(s, "v2", meanwhile), report(s, "w2", func() {})})
	if err := errors.Join(append(errs, <-done...)...); err != nil {
		t.Error(err)
	}
	if n := tries.Load(); n != 2 {
		t.Errorf("the two groups were carried out %d times", n)
	}
}
