// Package tempdir makes directories for a while. What a killed process leaves of them, the next one removes.
package tempdir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// prefix begins the names of all of them.
const prefix = "mayfly-tmp-"

// Dir is a directory below os.TempDir that only its owner may search. Its lock says that it is in use.
type Dir struct {
	Path string
	lock io.Closer
}

// swept says that this process has looked for what others left: once is enough, and a run has no time for a full /tmp.
var swept sync.Once

// New makes a directory. The first call of a process removes those of processes that were killed; where it can't, it is
// nobody's failure.
func New() (*Dir, error) {
	swept.Do(func() { sweep(os.TempDir()) })
	const tries = 10
	for range tries {
		path, err := os.MkdirTemp("", prefix) // mode 0700
		if err != nil {
			return nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		lock, err := lockDir(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock a temporary folder: %w", err), os.Remove(path))
		}
		if lock != nil {
			return &Dir{path, lock}, nil
		}
		// Another process took it for left behind before it was locked, and removes it.
	}
	return nil, fmt.Errorf("make a temporary folder in %s: others remove it again and again", os.TempDir())
}

// Close removes the directory with all that is in it.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// sweep removes the directories that nobody holds a lock on.
func sweep(in string) {
	entries, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(in, e.Name())
		lock, err := lockDir(path)
		if err != nil || lock == nil {
			continue // it is another user's, or in use
		}
		_ = (&Dir{path, lock}).Close()
	}
}
