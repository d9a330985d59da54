// Package archive keeps what is too large for a database: contents by their digest (files of tools, trees of files, artifacts), and
// the logs of runs that are over.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Storage keeps objects by their names. Its methods may be called from several goroutines and processes. Their errors are
// an [*Error], except for those of the content that Put reads and of a context that ends.
//
// The life of an object:
//
//	(nothing) ── Put ──▶ there ── Put ──▶ there, with the new content ── Delete ──▶ (nothing)
//
// Put is atomic: until it returns, and if it fails or its process is killed, Open finds what was there before.
type Storage interface {
	// Put keeps an object. It reads all of content. If that fails, it keeps nothing, and its error is that of content.
	Put(ctx context.Context, name string, content io.Reader) error
	// Open returns a part of an object, which the caller closes: length bytes from offset on, or all of them if length is negative.
	// The error is fs.ErrNotExist if the object isn't there. A read that gets fewer bytes than that fails.
	Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, Object, error)
	// Stat returns what is known of an object. The error is fs.ErrNotExist if it isn't there.
	Stat(ctx context.Context, name string) (Object, error)
	// Renew makes an object as new as one that is put now. The error is fs.ErrNotExist if it isn't there.
	Renew(ctx context.Context, name string) error
	// Delete removes an object. It may be gone already.
	Delete(ctx context.Context, name string) error
	// List calls take with each object whose name begins with prefix, which is empty or ends with a slash. It ends with the first
	// error of take.
	List(ctx context.Context, prefix string, take func(Object) error) error
}

// Object is what is known of an object without reading it.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time // when it was put or renewed, by the clock of where it is kept
}

// Error says what could not be done in an archive, where, and what to do about it.
type Error struct {
	Op     string // such as read
	Name   string // of the object
	Where  string // the archive
	Err    error
	Remedy string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s in the archive %s: %v", e.Op, e.Name, e.Where, e.Err)
	if e.Name == "" {
		text = fmt.Sprintf("%s the archive %s: %v", e.Op, e.Where, e.Err)
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// CheckName says whether a name is one of an object: a relative path whose elements don't begin with a dot.
func CheckName(name string) error {
	if !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%q is not the name of an object", name)
	}
	return nil
}

// Exact reads the length bytes that a part of an object has, and fails with io.ErrUnexpectedEOF if there are fewer. What an
// archive reads from goes through it.
func Exact(r io.Reader, length int64) io.Reader { return &exact{r, length, length} }

type exact struct {
	r            io.Reader
	length, left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = fmt.Errorf("it ends after %d of %d bytes: %w", e.length-e.left, e.length, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Part is where a part of an object begins and how many bytes it has, for an object of that size.
func Part(size, offset, length int64) (from, n int64, err error) {
	if length < 0 {
		length = max(0, size-offset)
	}
	if offset < 0 || offset > size || length > size-offset {
		return 0, 0, fmt.Errorf("it has %d bytes, and none from %d to %d: %w", size, offset, offset+length, io.ErrUnexpectedEOF)
	}
	return offset, length, nil
}
