package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		ok, err := tryFlock(f, true)
		if err == nil && ok && stillNamed(f, path) {
			return &workDir{path: path, lock: f}, nil
		}
		f.Close()
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
	if ok, err := tryFlock(f, true); err != nil || !ok {
		return err
	}
	return removeTree(path)
}

// publish writes a small file atomically.
func (s *Store) publish(w *workDir, path string, data []byte) error {
	f, err := os.CreateTemp(w.path, "f-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, noSpace(err))
	}
	_, err = f.Write(data)
	if err == nil && !s.opts.NoSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, noSpace(err))
	}
	return s.rename(f.Name(), path)
}

// rename moves a finished file or folder to its place, and makes the move durable.
func (s *Store) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("put %s in place: %w", to, noSpace(err))
	}
	if s.opts.NoSync {
		return nil
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Dir(to), err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func mounted(name string, err error) error {
	return &Error{Kind: ErrMounted, Msg: name + " has something mounted on it", Err: err, Hint: "unmount it, then prune again"}
}
