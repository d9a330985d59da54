package shape

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/document"
)

// This file reads files that may be anybody's.

// ReadFile reads a file, up to just past the largest size of any format, so that [Format.Open] refuses what is larger. what says in
// messages what the file is.
func ReadFile(file, what string) ([]byte, error) {
	// Without waiting for a FIFO's writer: read then refuses it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	defer f.Close()
	data, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	return data, nil
}

// read reads a regular file: a device or a pipe could keep a reader waiting for ever.
func read(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder; name the file in it")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, LargeBounds().FileSize+1))
}

// ReadInside reads a file of a folder, and of nowhere else, whatever symbolic links say: the folder comes out of somebody's
// repository.
func ReadInside(dir, name string, most int64) (string, error) {
	if dir == "" {
		return "", errors.New("the definition comes from no folder")
	}
	f, err := document.OpenInside(dir, name)
	if err != nil {
		return "", WithoutCall(err)
	}
	defer f.Close()
	data, err := document.Read(f, most)
	switch {
	case err != nil:
		return "", WithoutCall(err)
	case len(data) == 0:
		return "", errors.New("it is empty")
	}
	return string(data), nil
}

// WithoutCall is the error of a file without its name, which the message has, and the name of the system call.
func WithoutCall(err error) error {
	var system *fs.PathError
	if errors.As(err, &system) {
		return system.Err
	}
	return err
}

// IsFile reports whether there is a regular file at a path.
func IsFile(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular()
}
