package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Keep says where logs of ended runs go, and for how long the server keeps what. A zero limit is none.
type Keep struct {
	// ArchiveAfter is how long after its end a run's log is moved to the archive; an hour by default. A negative one is at once.
	ArchiveAfter time.Duration
	Runs, Logs   time.Duration // after their end
	Bytes        int64         // of the logs of ended runs together, as they are stored
	Audit        time.Duration // entries of the audit log
	// Every is how often the server looks for what to move and to remove; by default a minute, or ArchiveAfter if that is shorter.
	Every time.Duration
}

func (k *Keep) setDefaults() {
	k.ArchiveAfter = max(0, cmp.Or(k.ArchiveAfter, time.Hour))
	k.Every = cmp.Or(k.Every, min(time.Minute, max(time.Second, k.ArchiveAfter)))
}

const (
	// smallLog is how many bytes of events a log has at most that stays in the database: as an object, it would take about as much there.
	smallLog = 16 << 10
	// claimed is for how long a server has a log for itself to move it. Of one that was killed, another server moves it after that.
	claimed = time.Hour
	// keepTogether is how many small logs are looked through at once, and dropTogether how many runs are removed before others
	// may do something.
	keepTogether = 200
	dropTogether = 100
	// removeTogether is how many entries of the audit log are removed at once. Each time, the log gets an entry, so it isn't done often.
	removeTogether = 2000
	removeEvery    = time.Hour
	// orphaned is for how long an object may be there without anything that refers to it: it may just be made.
	orphaned = 24 * time.Hour
	// sweepEvery is how often objects are looked for that nothing refers to.
	sweepEvery = 24 * time.Hour
	firstSweep = 10 * time.Minute // after the start
)

// keepUp moves logs to the archive and removes what is too old or too much, until the server ends.
func (s *Server) keepUp(ctx context.Context) {
	tick := time.NewTicker(s.keep.Every)
	defer tick.Stop()
	swept := time.Now().Add(firstSweep - sweepEvery)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.archiveLogs(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("move logs to the archive", "error", err)
		}
		if err := s.retain(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("remove old runs and logs", "error", err)
		}
		if time.Since(swept) < sweepEvery {
			continue
		}
		swept = time.Now()
		if err := s.sweep(ctx, orphaned); err != nil && ctx.Err() == nil {
			s.log.Error("sweep the archive", "error", err)
		}
	}
}

// forget removes what is too old from the database, until the server ends. It waits for no archive.
func (s *Server) forget(ctx context.Context) {
	tick := time.NewTicker(s.keep.Every)
	defer tick.Stop()
	removed := time.Now().Add(-removeEvery)
	counted := removed
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := errors.Join(s.store.ForgetRunners(ctx, listed), s.store.ForgetAnswers(ctx), s.store.ForgetSessions(ctx, sessionIdle)); err != nil && ctx.Err() == nil {
			s.log.Error("forget runners, answers and sessions", "error", err)
		}
		if time.Since(counted) >= removeEvery {
			counted = time.Now()
			if err := s.store.ForgetEnds(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("forget old statistics", "error", err)
			}
		}
		if s.keep.Audit > 0 && time.Since(removed) >= min(removeEvery, s.keep.Audit) {
			removed = time.Now()
			if err := s.removeEntries(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("remove old entries of the audit log", "error", err)
			}
		}
	}
}

// archiveLogs puts the logs of all runs into their final form that ended long enough ago.
func (s *Server) archiveLogs(ctx context.Context) error {
	for n := keepTogether; n == keepTogether; {
		var err error
		if n, err = s.store.KeepSmallLogs(ctx, s.keep.ArchiveAfter, smallLog, keepTogether); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		claim := rand.Text()
		id, err := s.store.ClaimLog(ctx, claim, s.keep.ArchiveAfter, claimed)
		if err != nil || id == "" {
			return err
		}
		err = s.archiveLog(ctx, id, claim)
		var damaged *store.DamagedError
		switch {
		case errors.As(err, &damaged):
			s.log.Error("a log is damaged, and stays where it is", "run", id, "error", err) // the claim keeps it from being tried at once
		case errors.Is(err, store.ErrNotHeld):
			s.log.Info("a log was not moved: it was removed or moved by another server meanwhile", "run", id)
		case err != nil:
			return err
		}
	}
	return nil
}

// logPrefix begins the names of logs in the archive.
const logPrefix = "logs/"

// logName is the name of a run's log in the archive, for one claim: a server that is too slow writes to no object that is in use.
// Names are spread over folders, since some file systems are slow with many files in one.
func logName(id, claim string) string {
	return logPrefix + id[max(0, len(id)-2):] + "/" + id + "." + claim + ".jsonl.zst"
}

// runOfLog returns the run whose log has a name.
func runOfLog(name string) (id string, ok bool) {
	_, id, ok = strings.Cut(strings.TrimPrefix(name, logPrefix), "/")
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(id, ".jsonl.zst")
	i := strings.LastIndexByte(id, '.')
	return id[:max(0, i)], ok && i > 0
}

// archiveLog moves the log of a run to the archive:
//
//  1. put the object, which nobody knows yet
//  2. replace the chunks by places in it, if the claim still holds
//
// A kill between the two leaves an object that sweep removes. The object is the events as mayfly run --json prints them; each chunk is
// a frame of zstd.
func (s *Server) archiveLog(ctx context.Context, id, claim string) error {
	name := logName(id, claim)
	var made []store.Chunk
	chunks := 0
	out, in := io.Pipe()
	read := make(chan error, 1)
	go func() {
		var err error
		made, chunks, err = s.packLog(ctx, id, name, in)
		in.CloseWithError(err) // or io.EOF
		read <- err
	}()
	err := s.archive.In.Put(ctx, name, out)
	out.CloseWithError(err) // the log isn't read further
	if failed := <-read; err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if err = s.store.KeepLog(ctx, id, claim, chunks, made); err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNotHeld) {
		return err // the row may refer to the object
	}
	return errors.Join(err, s.archive.In.Delete(ctx, name))
}

// packLog writes the log of a run as an object. It returns the chunks of the object, and of how many they are made.
func (s *Server) packLog(ctx context.Context, id, object string, to io.Writer) (made []store.Chunk, chunks int, err error) {
	at := int64(0)
	pack := &packer{codec: s.live.codec, run: id, put: func(c store.Chunk, _ int) error {
		c.Checksum, c.Object, c.At, c.Size = c.Sum(id), object, at, int64(len(c.Data))
		_, err := to.Write(c.Data)
		at += c.Size
		c.Data = nil
		made = append(made, c)
		return err
	}}
	for after := int64(0); ; {
		some, err := s.store.Chunks(ctx, id, after, page)
		if err != nil {
			return nil, 0, err
		}
		if len(some) == 0 {
			err := pack.flush()
			return made, chunks, err
		}
		for _, c := range some {
			if c.First > after+1 {
				return nil, 0, missing(id, after+1, c.First-1)
			}
			if err := pack.add(c); err != nil {
				return nil, 0, err
			}
			after = c.Last
		}
		chunks += len(some)
	}
}

// retain removes the logs and runs that are too old or too much.
func (s *Server) retain(ctx context.Context) error {
	if s.keep.Runs > 0 {
		if err := s.drop(ctx, store.Drop{Ended: s.keep.Runs}, s.store.DropRuns); err != nil {
			return err
		}
	}
	if s.keep.Logs > 0 {
		if err := s.drop(ctx, store.Drop{Ended: s.keep.Logs}, s.store.DropLogs); err != nil {
			return err
		}
	}
	if s.keep.Bytes == 0 {
		return nil
	}
	have, err := s.store.LogBytes(ctx)
	if err != nil || have <= s.keep.Bytes {
		return err
	}
	return s.drop(ctx, store.Drop{Free: have - s.keep.Bytes}, s.store.DropLogs)
}

// removeEntries removes the entries of the audit log that are too old, a part at a time.
func (s *Server) removeEntries(ctx context.Context) error {
	for {
		n, err := s.store.RemoveEntries(ctx, s.keep.Audit, removeTogether)
		if err != nil || n < removeTogether {
			return err
		}
	}
}

// drop removes all that d says, a part at a time.
func (s *Server) drop(ctx context.Context, d store.Drop, some func(context.Context, store.Drop) (store.Dropped, error)) error {
	d.Most = dropTogether
	free := d.Free
	for {
		got, err := some(ctx, d)
		for _, name := range got.Objects {
			if err := s.archive.In.Delete(ctx, name); err != nil {
				s.log.Warn("delete a log that was removed; the next sweep does it", "error", err)
			}
		}
		if err != nil || got.Runs == 0 {
			return err
		}
		if d.Free -= got.Bytes; free > 0 && d.Free <= 0 {
			return nil
		}
	}
}

// sweep deletes objects that nothing refers to and that are older than that: logs of servers that were killed, and contents of
// tools and runs that are gone.
func (s *Server) sweep(ctx context.Context, older time.Duration) error {
	return errors.Join(s.sweepLogs(ctx, older), s.sweepContents(ctx, older))
}

func (s *Server) sweepLogs(ctx context.Context, older time.Duration) error {
	const together = 500
	var names, ids []string
	look := func() error {
		objects, err := s.store.LogObjects(ctx, ids)
		if err != nil {
			return err
		}
		for i, name := range names {
			if objects[ids[i]] != name {
				s.log.Info("delete a log that no run has", "object", name)
				if err := s.archive.In.Delete(ctx, name); err != nil {
					return err
				}
			}
		}
		names, ids = nil, nil
		return nil
	}
	err := s.archive.In.List(ctx, logPrefix, func(o archive.Object) error {
		id, ok := runOfLog(o.Name)
		if !ok || time.Since(o.Modified) < older {
			return nil // or someone else's
		}
		if names, ids = append(names, o.Name), append(ids, id); len(names) < together {
			return nil
		}
		return look()
	})
	if err != nil {
		return err
	}
	return look()
}

// sweepContents deletes the contents that no version, request or result names. Whatever has the form of a digest there counts. A
// content that is about to be used was renewed, so it isn't old.
func (s *Server) sweepContents(ctx context.Context, older time.Duration) error {
	unknown := map[string]string{} // the names of old contents by their digits
	err := s.archive.In.List(ctx, archive.ContentPrefix, func(o archive.Object) error {
		if digits := o.Name[strings.LastIndexByte(o.Name, '/')+1:]; time.Since(o.Modified) >= older {
			unknown[digits] = o.Name
		}
		return nil
	})
	if err != nil || len(unknown) == 0 {
		return err
	}
	if err := s.store.References(ctx, func(text []byte) {
		eachDigest(string(text), func(digits string) { delete(unknown, digits) })
	}); err != nil {
		return err
	}
	for digits, name := range unknown {
		if o, err := s.archive.In.Stat(ctx, name); err != nil || time.Since(o.Modified) < older {
			continue // it was renewed meanwhile, or is gone
		}
		s.log.Info("delete a content that nothing refers to", "object", name)
		if err := s.store.ForgetContent(ctx, "sha256:"+digits); err != nil { // first, so that no project can name a content that is gone
			return err
		}
		if err := s.archive.In.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// eachDigest calls take with the digits of each digest in a text.
func eachDigest(text string, take func(digits string)) {
	const before, digits = "sha256:", 64
	for {
		i := strings.Index(text, before)
		if i < 0 {
			return
		}
		text = text[i+len(before):]
		if len(text) >= digits {
			take(text[:digits])
		}
	}
}
