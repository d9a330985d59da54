// Package document reads what is wanted whole and comes from someone else: definitions, policies, manifests, keys, values. A
// reader doesn't take more memory than the caller says, and doesn't leave the folder that it should read in.
package document

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrTooLarge is the kind of the error of a document that has more bytes than its reader takes. The error says how many that is.
var ErrTooLarge = errors.New("too large")

type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string { return fmt.Sprintf("it is larger than %d bytes", e.limit) }

func (e *tooLargeError) Is(target error) bool { return target == ErrTooLarge }

// Read reads a document of at most limit bytes. Of a larger one it returns the first limit bytes and an [ErrTooLarge]. After
// another error it returns what it has read, as [io.ReadAll] does.
func Read(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		return data[:limit], &tooLargeError{limit}
	}
	return data, err
}

// OpenInside opens a regular file of a folder, and of nowhere else, whatever symbolic links say: the folder comes out of
// someone's repository.
func OpenInside(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Looked at before it is opened: opening a FIFO would wait for its writer.
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return root.Open(name)
}
