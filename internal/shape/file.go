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

// This file reads files that anyone may have written.

// ReadFile reads a regular file. It stops one byte after the largest size of any format, so that [Format.Open] refuses what
// is larger. what names the kind of file in errors.
func ReadFile(file, what string) ([]byte, error) {
	// O_NONBLOCK doesn't wait for the writer of a FIFO; readRegular then refuses it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	defer f.Close()
	data, err := readRegular(f)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	return data, nil
}

// readRegular reads a regular file and refuses others: a device or a pipe could keep a reader waiting forever.
func readRegular(f *os.File) ([]byte, error) {
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

// ReadInside reads a regular file inside the folder dir and refuses one that a symbolic link leads out of it, since the
// folder may come from a stranger's repository. An empty file is an error, and so is one of more than most bytes.
func ReadInside(dir, name string, most int64) (string, error) {
	if dir == "" {
		return "", errors.New("the definition isn't in a file")
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

// WithoutCall returns the error of a file operation without the name of the system call and the path, which the message already has.
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
