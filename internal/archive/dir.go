package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// Dir is an archive in a folder: each object is the file of its name. Files whose names begin with a dot are unfinished.
type Dir string

// unfinished is for how long a file may be written. List removes what a killed process has left before.
const unfinished = 24 * time.Hour

func (d Dir) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(string(d), filepath.FromSlash(name)), nil
}

func (d Dir) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Name: name, Where: string(d), Err: err}
	if !errors.Is(err, fs.ErrNotExist) {
		e.Remedy = "check the folder's disk and permissions"
	}
	return e
}

// Put implements Storage. What it has put outlives a crash of the machine.
func (d Dir) Put(ctx context.Context, name string, content io.Reader) error {
	return d.put(ctx, name, content, atomicfile.Options{Durable: true})
}

// Temporary is a Dir that nobody needs after the process: it waits for no disk.
type Temporary struct{ Dir }

// Put implements Storage.
func (d Temporary) Put(ctx context.Context, name string, content io.Reader) error {
	return d.put(ctx, name, content, atomicfile.Options{})
}

func (d Dir) put(ctx context.Context, name string, content io.Reader, o atomicfile.Options) error {
	path, err := d.path(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return d.failed("write", name, err)
	}
	out, err := atomicfile.Create(path, o)
	if err != nil {
		return d.failed("write", name, err)
	}
	in := &source{ctx: ctx, r: content}
	if _, err := io.Copy(out, in); err != nil {
		if in.err == nil {
			err = d.failed("write", name, err)
		}
		return errors.Join(err, out.Close())
	}
	return d.failed("write", name, errors.Join(out.Commit(), out.Close()))
}

// source reads until the context ends. It keeps its error, to tell it from one of writing.
type source struct {
	ctx context.Context // lives only for one call
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	} else {
		n, err = s.r.Read(p)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Open implements Storage.
func (d Dir) Open(_ context.Context, name string, offset, length int64) (io.ReadCloser, Object, error) {
	path, err := d.path(name)
	if err != nil {
		return nil, Object{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Object{}, d.failed("read", name, err)
	}
	info, err := f.Stat()
	if err == nil {
		offset, length, err = Part(info.Size(), offset, length)
	}
	if err != nil {
		return nil, Object{}, errors.Join(d.failed("read", name, err), f.Close())
	}
	return &file{Exact(io.NewSectionReader(f, offset, length), length), f, d, name}, object(name, info), nil
}

func object(name string, info fs.FileInfo) Object {
	return Object{Name: name, Size: info.Size(), Modified: info.ModTime()}
}

// file is a part of a file.
type file struct {
	r io.Reader
	*os.File
	dir  Dir
	name string
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.dir.failed("read", f.name, err)
	}
	return n, err
}

// WriteTo hides that of the file, which knows no part.
func (f *file) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, onlyReader{f}) }

type onlyReader struct{ io.Reader }

// Stat implements Storage.
func (d Dir) Stat(_ context.Context, name string) (Object, error) {
	path, err := d.path(name)
	if err != nil {
		return Object{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Object{}, d.failed("look at", name, err)
	}
	return object(name, info), nil
}

// Renew implements Storage.
func (d Dir) Renew(_ context.Context, name string) error {
	path, err := d.path(name)
	if err != nil {
		return err
	}
	return d.failed("renew", name, os.Chtimes(path, time.Time{}, time.Now()))
}

// Delete implements Storage.
func (d Dir) Delete(_ context.Context, name string) error {
	path, err := d.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return d.failed("delete", name, err)
	}
	return nil
}

// List implements Storage.
func (d Dir) List(ctx context.Context, prefix string, take func(Object) error) error {
	root := filepath.Join(string(d), filepath.FromSlash(prefix))
	var taking error
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			taking = context.Cause(ctx)
			return taking
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was removed meanwhile, or there is nothing yet
		case err != nil || entry.IsDir():
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") {
			if time.Since(info.ModTime()) < unfinished {
				return nil
			}
			if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		name, err := filepath.Rel(string(d), path)
		if err != nil {
			return err
		}
		taking = take(object(filepath.ToSlash(name), info))
		return taking
	})
	if taking != nil {
		return taking
	}
	return d.failed("list", prefix, err)
}
