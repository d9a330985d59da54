// Package atomicfile replaces files as a whole. Whoever opens the path finds the old file or the new one, never a part of it,
// whenever the process that writes it is killed. What a crash of the machine may cost is the caller's choice: see Options.Durable.
//
// A file takes these steps. A kill before step 4 leaves the path as it was, and a later one leaves the new file there:
//
//  1. make a file beside the path, which nobody else has (O_EXCL)
//  2. write it
//  3. sync it (fsync(2))       if Durable
//  4. rename(2) it to the path
//  5. sync the directory       if Durable
//
// Without step 3, a file system may write the new name to the disk before the content: after a crash, the path would have an
// empty file. Without step 5, a crash may bring back the old one.
//
// A kill between 1 and 4 leaves the unfinished file. Its name begins with [Options].Prefix, by which [Sweep] removes it.
package atomicfile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options of a new file.
type Options struct {
	// Durable says that the new file is at the path after a crash of the machine or a power failure, once Commit has returned.
	// Otherwise the old file may be there, or one that is cut short or empty.
	Durable bool
	// Mode is the file's mode, from which the umask takes bits; 0 is 0600. For bits that the umask must not take, call Chmod
	// before Commit.
	Mode fs.FileMode
	// Dir is where the unfinished file is, on the path's file system; the path's directory by default.
	Dir string
	// Prefix begins the unfinished file's name; a dot and the path's last element by default.
	Prefix string
	// Unnamed leaves the unfinished file without a name until Commit, so that a kill before leaves nothing (O_TMPFILE in
	// open(2)). It is for large files. It needs Linux, a file system that can do it, and /proc.
	Unnamed bool

	step func(name string) // called before each step of Commit, by tests
}

// File is an unfinished file. Only Commit puts it at the path.
type File struct {
	file      *os.File
	path      string
	temporary string // the unfinished file's name; empty as long as it has none
	opts      Options
	done      bool // it is at the path, or removed
}

// Create makes an unfinished file. Close must be called on it, and may be called after Commit. The errors of Create and of the file
// name the path.
func Create(path string, o Options) (*File, error) {
	o.Mode = cmp.Or(o.Mode, 0o600)
	o.Dir = cmp.Or(o.Dir, filepath.Dir(path))
	o.Prefix = cmp.Or(o.Prefix, "."+filepath.Base(path))
	if o.Unnamed {
		f, err := createUnnamed(o.Dir, o.Mode)
		if err != nil {
			return nil, named(err, path)
		}
		return &File{file: f, path: path, opts: o}, nil
	}
	f, err := os.OpenFile(o.temporary(), os.O_RDWR|os.O_CREATE|os.O_EXCL, o.Mode)
	if err != nil {
		return nil, named(err, path)
	}
	return &File{file: f, path: path, temporary: f.Name(), opts: o}, nil
}

func (o Options) temporary() string { return filepath.Join(o.Dir, o.Prefix+rand.Text()) }

// named returns the error of an operation on the unfinished file with the path instead of that file's name, which says nothing to
// whoever chose the path.
func named(err error, path string) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return &fs.PathError{Op: file.Op, Path: path, Err: file.Err}
	case errors.As(err, &link):
		return &fs.PathError{Op: link.Op, Path: path, Err: link.Err}
	}
	return err
}

// Name is the unfinished file's path; the directory's if it has no name.
func (f *File) Name() string { return f.file.Name() }

// Write is like [os.File.Write].
func (f *File) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	return n, named(err, f.path)
}

// Chmod is like [os.File.Chmod].
func (f *File) Chmod(mode fs.FileMode) error { return named(f.file.Chmod(mode), f.path) }

// Sync is like [os.File.Sync], for those who have something to do between it and Commit.
func (f *File) Sync() error { return named(f.file.Sync(), f.path) }

// Write makes or replaces a file with what is in data.
func Write(path string, data []byte, o Options) error {
	f, err := Create(path, o)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Commit(), f.Close())
}

// Commit puts the file at its path and closes it. After an error, the path is as it was; only if the directory can't be
// synced, the new file is there and may not outlive a crash.
func (f *File) Commit() error {
	if f.opts.Durable {
		if err := f.do("sync", f.Sync); err != nil {
			return err
		}
	}
	if f.opts.Unnamed {
		// A link can't replace a file, a rename can: it needs a name of its own first.
		temporary := f.opts.temporary()
		if err := f.do("name", func() error { return named(nameUnnamed(f.file, temporary), f.path) }); err != nil {
			return err
		}
		f.temporary = temporary
	}
	if err := f.file.Close(); err != nil { // Windows renames no file that is open
		return named(err, f.path)
	}
	if err := f.do("put", func() error { return named(os.Rename(f.temporary, f.path), f.path) }); err != nil {
		return err
	}
	f.done = true
	if f.opts.Durable {
		return f.do("sync directory", func() error { return SyncDir(filepath.Dir(f.path)) })
	}
	return nil
}

// Close closes the file, and removes it unless it was committed. It may be called more than once.
func (f *File) Close() error {
	err := named(f.file.Close(), f.path)
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if f.temporary == "" || f.done {
		return err
	}
	f.done = true
	return errors.Join(err, os.Remove(f.temporary))
}

func (f *File) do(name string, step func() error) error {
	if f.opts.step != nil {
		f.opts.step(name)
	}
	return step()
}

// Sweep removes what killed processes have left in a directory: files whose names begin with prefix, and to which
// nobody has written for the given time. That must be longer than anyone takes between the last byte and Commit; it is 0 if
// nobody writes now.
func Sweep(dir, prefix string, age time.Duration) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			errs = append(errs, sweep(dir, e, age))
		}
	}
	return errors.Join(errs...)
}

func sweep(dir string, e fs.DirEntry, age time.Duration) error {
	info, err := e.Info()
	if err == nil && (age == 0 || time.Since(info.ModTime()) > age) {
		err = os.Remove(filepath.Join(dir, e.Name()))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was committed, or another process was faster
	}
	return err
}
