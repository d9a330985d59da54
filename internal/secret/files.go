package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/flock"
)

const (
	lockFile   = "lock"
	tempPrefix = ".tmp-"
)

// change runs f while only this process may change the store. It makes the directory of the store if it doesn't exist. It waits
// for other processes until ctx ends.
func (s *Store) change(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the store of secrets: %w", err)
	}
	if err := checkPrivate(s.dir); err != nil {
		return err
	}
	path := filepath.Join(s.dir, lockFile)
	lock, err := flock.Open(ctx, path, os.O_RDWR|os.O_CREATE, flock.Exclusive, nil)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("wait for another process to unlock %s: %w", path, err)
	case err != nil:
		return fmt.Errorf("lock the store of secrets: %w", err)
	}
	defer lock.Close() // frees it
	if err := s.sweep(); err != nil {
		return err
	}
	return f()
}

// sweep removes the files that killed processes were writing. The caller holds the lock, so no process is writing now.
func (s *Store) sweep() error {
	if err := atomicfile.Sweep(s.dir, tempPrefix, 0); err != nil {
		return fmt.Errorf("clean up the store of secrets: %w", err)
	}
	return nil
}

// write replaces a file atomically: a reader sees the old content or the new one, even after a power cut.
func (s *Store) write(path string, content []byte) error {
	f, err := atomicfile.Create(path, atomicfile.Options{Durable: true, Prefix: tempPrefix})
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = s.step("put " + filepath.Base(path))
	}
	if err == nil {
		err = f.Commit()
	}
	return errors.Join(err, f.Close())
}

// readSmall reads a regular file of at most limit bytes. The error for a larger file wraps ErrTampered.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := document.Read(f, limit)
	if errors.Is(err, document.ErrTooLarge) {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", path, limit, ErrTampered)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}
