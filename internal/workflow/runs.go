package workflow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// Runs is a directory of journals that implements [Journals]. Each journal is a file ID.jsonl with an entry on each line; a
// success is synced to disk. A kill can cut only the last line, and then its change is lost.
//
//	{"type":"run","run":{"id":…,"file":…,"inputs":…}}
//	{"type":"step","step":"build","status":"running"}
//	{"type":"step","step":"build","status":"succeeded","outputs":{"TAG":"1.2"}}
//	{"type":"end","status":"failed"}
//
// The artifacts of a run are in ID.artifacts beside it.
type Runs struct{ Dir string }

var _ Journals = Runs{}

func (r Runs) path(id string) string { return filepath.Join(r.Dir, id+".jsonl") }

// ArtifactDir returns the directory of a run's artifacts.
func (r Runs) ArtifactDir(id string) string { return filepath.Join(r.Dir, id+".artifacts") }

// Create implements [Journals].
func (r Runs) Create(h Header) (Journal, error) {
	if err := checkID(h.ID); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of runs: %w", err)
	}
	f, err := os.OpenFile(r.path(h.ID), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the run's journal: %w", err)
	}
	j := &journalFile{f}
	err = lock(f, flock.Exclusive)
	if err == nil {
		err = j.Append(Entry{Type: EntryRun, Run: &h}, false)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the run's journal: %w", err), j.Close(), os.Remove(f.Name()))
	}
	return j, nil
}

// Open implements [Journals].
func (r Runs) Open(id string) (Journal, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.path(id), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noRunError{id, r.Dir}
	}
	if err != nil {
		return nil, fmt.Errorf("open the run's journal: %w", err)
	}
	if err := lock(f, flock.Exclusive); err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", id, err), f.Close())
	}
	if !flock.Named(f) { // removed between its opening and its lock
		return nil, errors.Join(&noRunError{id, r.Dir}, f.Close())
	}
	// A kill may have cut the last line; what is appended must not continue it.
	whole, err := wholeLines(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal %s: %w", f.Name(), err), f.Close())
	}
	return &journalFile{f}, nil
}

// lock keeps other processes from a journal until its file is closed; [ErrRunning] when one has it. The exclusive lock is
// that of whoever writes.
func lock(f *os.File, kind flock.Kind) error {
	ok, err := flock.Try(f, kind)
	if err == nil && !ok {
		return ErrRunning
	}
	return err
}

// noRunError is the error of a run that doesn't exist.
type noRunError struct{ id, dir string }

func (e *noRunError) Error() string {
	return fmt.Sprintf("there is no run %q of a workflow in %s; see: mayfly runs", e.id, e.dir)
}

func (e *noRunError) Is(target error) bool { return target == fs.ErrNotExist }

// wholeLines returns the length of a file up to its last line break.
func wholeLines(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		start := max(0, end-int64(len(buf)))
		part := buf[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// journalFile is a journal in a file.
type journalFile struct{ file *os.File }

// maxEntry is the largest size of a line in bytes. A line has the outputs of one step, sealed and in base64.
const maxEntry = 512 << 20

// Append implements [Journal]. It writes one line.
func (j *journalFile) Append(e Entry, durable bool) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(line) > maxEntry {
		return fmt.Errorf("the outputs of step %s are too large for the journal", e.Step)
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if durable {
		return syncData(j.file)
	}
	return nil
}

// Entries implements [Journal].
func (j *journalFile) Entries() iter.Seq2[Entry, error] {
	return entriesOf(io.NewSectionReader(j.file, 0, 1<<62))
}

// Close implements [Journal].
func (j *journalFile) Close() error { return j.file.Close() }

// entriesOf returns the entries of complete lines. A kill has cut what comes after the last of them.
func entriesOf(from io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewReaderSize(from, 64<<10)
		for number := 1; ; number++ {
			line, err := readLine(lines)
			if errors.Is(err, io.EOF) {
				return
			}
			var e Entry
			if err == nil {
				if err = json.Unmarshal(line, &e); err != nil {
					err = fmt.Errorf("line %d is damaged: %w", number, err)
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// readLine returns a line without its line break, and io.EOF for a line without one.
func readLine(from *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := from.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxEntry:
			return nil, fmt.Errorf("it has a line of more than %d bytes", maxEntry)
		}
	}
}
