package tooltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// folderPrefix begins the names of the folders of tests' sockets.
const folderPrefix = "mayfly-mocks-"

// folder is where a test's sockets are, and a workflow's artifacts. Its lock says that it is in use: what a killed process has left, the next one
// removes.
type folder struct {
	path string
	lock io.Closer
}

var sweepOnce sync.Once

// newFolder makes a folder that only its owner may search.
func newFolder() (*folder, error) {
	sweepOnce.Do(func() { sweepFolders(os.TempDir()) })
	const tries = 10
	for range tries {
		path, err := os.MkdirTemp("", folderPrefix) // mode 0700
		if err != nil {
			return nil, fmt.Errorf("make a folder for the test's sockets: %w", err)
		}
		lock, err := lockFolder(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock the folder of the test's sockets: %w", err), os.Remove(path))
		}
		if lock != nil {
			return &folder{path, lock}, nil
		}
		// Another process took it for left behind before it was locked, and removes it.
	}
	return nil, errors.New("make a folder for the test's sockets: others remove it again and again")
}

// close removes the folder.
func (f *folder) close() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

// sweepFolders removes the folders of processes that were killed. It is nobody's failure where it can't.
func sweepFolders(in string) {
	entries, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), folderPrefix) {
			continue
		}
		path := filepath.Join(in, e.Name())
		lock, err := lockFolder(path)
		if err != nil || lock == nil {
			continue // it is another user's, or in use
		}
		_ = (&folder{path, lock}).close()
	}
}
