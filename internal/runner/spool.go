package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

const (
	// segmentSize is about how many bytes of events a file of the spool has. As many of an attempt wait in memory before its files, and
	// as many after them.
	segmentSize = 1 << 20
	// attemptShare is the part of the spool that one attempt may have.
	attemptShare = 2
)

// spool has events that don't fit into memory in files of a folder, with one bound for all attempts of a runner. Secrets are masked in
// events already, so the files have them as they are sent.
type spool struct {
	dir  string
	most int64 // bytes

	mu   sync.Mutex
	used int64
	made int64 // how many files there were
}

// openSpool makes an empty spool. It removes what a runner that was killed has left there, whose attempts have ended with it.
func openSpool(dir string, most int64) (*spool, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("empty the spool: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	return &spool{dir: dir, most: most}, nil
}

// reserve takes a part of the bound, and returns the name of the file for it.
func (s *spool) reserve(n int64) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.most {
		return "", false
	}
	s.used += n
	s.made++
	return filepath.Join(s.dir, strconv.FormatInt(s.made, 10)), true
}

func (s *spool) free(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}

// segment is a file with events.
type segment struct {
	path string
	size int64
}

// queue has the events of one attempt that wait: first those of head, then those of the files, then those of tail. It isn't for
// several goroutines at once.
type queue struct {
	spool *spool

	head, tail []run.Event
	tailSize   int64
	files      []segment
	filesSize  int64
	left       []string // files that were read, but couldn't be removed
	stuck      error    // why tail couldn't be written, until something of the queue is read
}

var errSpoolFull = errors.New("the runner's spool is full")

// sizeOf is about how many bytes an event takes, and of how many bytes of output it is.
func sizeOf(e *run.Event) (all, output int64) {
	all = 200
	switch {
	case e.Log != nil:
		output = int64(len(e.Log.Data) + len(e.Log.DataBase64))
		all += output
	case e.Other != nil: // how a test has ended
		for _, field := range e.Other.Fields {
			all += int64(len(field))
		}
	}
	return all, output
}

// needed says whether a run's log would be wrong without the event, not only incomplete.
func needed(e *run.Event) bool {
	return e.Log == nil && e.Metric == nil && e.Connection == nil && e.Other == nil
}

// add adds an event, or returns why there is no room for it.
func (q *queue) add(e run.Event) error {
	size, _ := sizeOf(&e)
	if q.tailSize+size > segmentSize && len(q.tail) > 0 {
		if err := q.spill(); err != nil && !needed(&e) {
			return err
		}
	}
	q.tail = append(q.tail, e)
	q.tailSize += size
	return nil
}

// spill makes room in tail. After it has failed, it doesn't try again before there may be room.
func (q *queue) spill() error {
	if q.stuck != nil {
		return q.stuck
	}
	if len(q.head) == 0 && len(q.files) == 0 {
		q.head = q.tail
	} else {
		var text bytes.Buffer
		lines := json.NewEncoder(&text)
		for _, e := range q.tail {
			if err := lines.Encode(e); err != nil {
				return err
			}
		}
		if q.stuck = q.write(text.Bytes()); q.stuck != nil {
			return q.stuck
		}
	}
	q.tail, q.tailSize = nil, 0
	return nil
}

func (q *queue) write(data []byte) error {
	size := int64(len(data))
	if q.filesSize+size > q.spool.most/attemptShare {
		return errSpoolFull
	}
	path, ok := q.spool.reserve(size)
	if !ok {
		return errSpoolFull
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		q.spool.free(size)
		_ = os.Remove(path) // it may not be there
		return fmt.Errorf("the runner can't write to its spool: %w", err)
	}
	q.files = append(q.files, segment{path, size})
	q.filesSize += size
	return nil
}

// drop marks that an event is missing at the end.
func (q *queue) drop(e run.Event, why error) {
	_, output := sizeOf(&e)
	if n := len(q.tail); n > 0 && q.tail[n-1].Dropped != nil {
		d := q.tail[n-1].Dropped
		d.Events++
		d.Bytes += output
		return
	}
	e.Log, e.Metric, e.Connection, e.Other = nil, nil, nil, nil
	e.Dropped = &run.Dropped{Events: 1, Bytes: output, Reason: why.Error()}
	q.tail = append(q.tail, e)
}

// onlyHead says that no event comes after those of head.
func (q *queue) onlyHead() bool { return len(q.files) == 0 && len(q.tail) == 0 }

// load has head begin with the first event, if there is any.
func (q *queue) load() error {
	if len(q.head) > 0 {
		return nil
	}
	q.stuck = nil
	if len(q.files) == 0 {
		q.head, q.tail, q.tailSize = q.tail, nil, 0
		return nil
	}
	data, err := os.ReadFile(q.files[0].path)
	if err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	lines := json.NewDecoder(bytes.NewReader(data))
	for lines.More() {
		var e run.Event
		if err := lines.Decode(&e); err != nil {
			return fmt.Errorf("read the spool: %s: %w", q.files[0].path, err)
		}
		q.head = append(q.head, e)
	}
	q.remove()
	return nil
}

// remove removes the first file. If that fails, nothing is lost, and close says so.
func (q *queue) remove() {
	one := q.files[0]
	q.files = q.files[1:]
	q.filesSize -= one.size
	q.spool.free(one.size)
	if err := os.Remove(one.path); err != nil {
		q.left = append(q.left, one.path)
	}
}

// close removes the files.
func (q *queue) close() (err error) {
	for len(q.files) > 0 {
		q.remove()
	}
	for _, path := range q.left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
