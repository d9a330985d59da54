// Package archive keeps contents by their digest: files of tools, trees of files, artifacts.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/content"
)

// Archive keeps contents. Its methods may be called from several goroutines and processes.
type Archive interface {
	// Has reports whether a content is there.
	Has(ctx context.Context, digest string) (bool, error)
	// Open returns a content, which the caller closes. The error is fs.ErrNotExist if it isn't there.
	Open(ctx context.Context, digest string) (content io.ReadCloser, size int64, err error)
	// Put keeps a content. It reads all of it, and fails with a DigestError, keeping nothing, if it has another digest.
	Put(ctx context.Context, digest string, content io.Reader) error
}

// DigestError says that a content isn't the one that was announced. A text that isn't a digest is a content.DigestError.
type DigestError struct{ Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("the content has the digest %s, not %s", e.Got, e.Want)
}

// Digest returns the digest of a content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return prefix + hex.EncodeToString(sum[:])
}

const prefix = "sha256:"

// Dir is an archive in a folder:
//
//	<dir>/<first two digits>/<digits>
type Dir string

func (d Dir) path(digest string) (string, error) {
	text, err := content.Digits(digest)
	if err != nil {
		return "", err
	}
	return filepath.Join(string(d), text[:2], text), nil
}

// Has implements Archive.
func (d Dir) Has(_ context.Context, digest string) (bool, error) {
	path, err := d.path(digest)
	if err != nil {
		return false, err
	}
	_, err = os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Open implements Archive.
func (d Dir) Open(_ context.Context, digest string) (io.ReadCloser, int64, error) {
	path, err := d.path(digest)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Put implements Archive.
func (d Dir) Put(ctx context.Context, digest string, content io.Reader) error {
	path, err := d.path(digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := atomicfile.Create(path, atomicfile.Options{Durable: true})
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), untilDone{ctx, content}); err != nil {
		return errors.Join(err, out.Close())
	}
	if got := prefix + hex.EncodeToString(sum.Sum(nil)); got != digest {
		return errors.Join(&DigestError{Want: digest, Got: got}, out.Close())
	}
	return errors.Join(out.Commit(), out.Close())
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context // lives only for one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
