package secret

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
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
	lock, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the store of secrets: %w", err)
	}
	defer lock.Close() // which unlocks it
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		// Poll, since a wait in the kernel can't be cancelled.
		ok, err := tryLock(lock)
		if err != nil {
			return fmt.Errorf("lock the store of secrets %s: %w", s.dir, err)
		}
		if ok {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another process to unlock %s: %w", lock.Name(), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
	if err := s.sweep(); err != nil {
		return err
	}
	return f()
}

// sweep removes the files that killed processes were writing. The caller holds the lock, so no process is writing now.
func (s *Store) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.dir, tempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("clean up the store of secrets: %w", err)
		}
	}
	return nil
}

// write replaces a file atomically: a reader sees the old content or the new one, even after a power cut.
func (s *Store) write(path string, content []byte) (err error) {
	f, err := os.CreateTemp(s.dir, tempPrefix) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.step("put " + filepath.Base(path)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(s.dir)
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
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", path, limit, ErrTampered)
	}
	return content, nil
}
