// Package tempdir makes temporary directories. The next process removes those that a killed process leaves behind.
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

// prefix is the beginning of the name of each directory in os.TempDir.
const prefix = "mayfly-tmp-"

// Dir is a directory that only its owner may enter. Its lock says that it is in use.
type Dir struct {
	Path string
	lock io.Closer
}

// swept makes this process remove other processes' directories only once: reading a full /tmp takes time.
var swept sync.Once

// New makes a directory in os.TempDir. The first call of a process also removes the directories of killed processes. If it can't remove
// one, New still succeeds.
func New() (*Dir, error) {
	swept.Do(RemoveAbandoned)
	return NewIn(os.TempDir(), prefix)
}

// RemoveAbandoned removes the directories of killed processes in os.TempDir, for a process that may not make one for a long time.
func RemoveAbandoned() { Sweep(os.TempDir(), prefix) }

// NewIn makes a directory in another one, with a name that begins with prefix. Sweep removes those of killed processes.
func NewIn(in, prefix string) (*Dir, error) {
	const tries = 10
	for range tries {
		path, err := os.MkdirTemp(in, prefix) // mode 0700
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
		// Another process found the directory before it was locked, and removes it.
	}
	return nil, fmt.Errorf("make a temporary folder in %s: another process keeps removing it", in)
}

// Close removes the directory and everything in it.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// Sweep removes the directories whose names begin with prefix and that no process has locked.
func Sweep(in, prefix string) {
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
