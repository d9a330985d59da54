package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/flock"
)

// workDir is a private directory in tmp. Its lock says that its process is alive.
type workDir struct {
	path string
	lock *os.File
}

// newWork makes a work directory. If another process sweeps it before it is locked, newWork makes another one.
func (s *Store) newWork() (*workDir, error) {
	for {
		path, err := os.MkdirTemp(s.tmpDir(), "w-")
		if err != nil {
			return nil, fmt.Errorf("make work directory: %w", noSpace(err))
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open work directory: %w", err)
		}
		ok, err := flock.Try(f, flock.Exclusive)
		if err == nil && ok && flock.Named(f) {
			return &workDir{path: path, lock: f}, nil
		}
		f.Close()
		if errors.Is(err, errors.ErrUnsupported) {
			err = &Error{Kind: ErrUnsupported, Msg: "an image store needs flock", Hint: "run mayfly in a Linux virtual machine"}
		}
		if err != nil {
			return nil, errors.Join(err, os.Remove(path))
		}
	}
}

// Close deletes the directory and everything in it.
func (w *workDir) Close() error {
	return errors.Join(removeTree(w.path), w.lock.Close())
}

// sweep deletes the work directories of processes that have died.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.tmpDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, sweepOne(filepath.Join(s.tmpDir(), e.Name())))
	}
	return errors.Join(errs...)
}

func sweepOne(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process has removed it
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	defer f.Close()
	if ok, err := flock.Try(f, flock.Exclusive); err != nil || !ok {
		return err
	}
	return removeTree(path)
}

// publish writes a small file atomically.
func (s *Store) publish(w *workDir, path string, data []byte) error {
	o := atomicfile.Options{Durable: true, Dir: w.path}
	if s.opts.NoSync {
		o.Durable = false
	}
	if err := atomicfile.Write(path, data, o); err != nil {
		return fmt.Errorf("write %s: %w", path, noSpace(err))
	}
	return nil
}

// rename moves a finished file or folder to its place, and makes the move durable.
func (s *Store) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("put %s in place: %w", to, noSpace(err))
	}
	if s.opts.NoSync {
		return nil
	}
	if err := atomicfile.SyncDir(filepath.Dir(to)); err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Dir(to), err)
	}
	return nil
}

func mounted(name string, err error) error {
	return &Error{Kind: ErrMounted, Msg: name + " has something mounted on it", Err: err, Hint: "unmount it, then prune again"}
}
