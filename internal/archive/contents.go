package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"

	"github.com/mayfly-run/mayfly/internal/content"
)

// Contents are contents by their digest, in an archive:
//
//	contents/<first two digits>/<digits>
type Contents struct{ In Storage }

// ContentPrefix begins the names of contents.
const ContentPrefix = "contents/"

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

// ContentName returns the name of the object that has a content.
func ContentName(digest string) (string, error) {
	text, err := content.Digits(digest)
	if err != nil {
		return "", err
	}
	return ContentPrefix + text[:2] + "/" + text, nil
}

// fresh is for how long a content isn't renewed after it was put or renewed.
const fresh = time.Hour

// Renew keeps a content from being taken for one that nobody needs any longer, and reports whether it is there.
func (c Contents) Renew(ctx context.Context, digest string) (bool, error) {
	name, err := ContentName(digest)
	if err != nil {
		return false, err
	}
	o, err := c.In.Stat(ctx, name)
	if err == nil && time.Since(o.Modified) > fresh {
		err = c.In.Renew(ctx, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Open returns a content, which the caller closes. The error is fs.ErrNotExist if it isn't there. If what is kept has another
// digest, the last read fails with a DigestError.
func (c Contents) Open(ctx context.Context, digest string) (io.ReadCloser, int64, error) {
	name, err := ContentName(digest)
	if err != nil {
		return nil, 0, err
	}
	r, o, err := c.In.Open(ctx, name, 0, -1)
	if err != nil {
		return nil, 0, err
	}
	return &struct {
		io.Reader
		io.Closer
	}{Checked(r, digest), r}, o.Size, nil
}

// Put keeps a content. It reads all of it, and fails with a DigestError, keeping nothing, if it has another digest.
func (c Contents) Put(ctx context.Context, digest string, content io.Reader) error {
	name, err := ContentName(digest)
	if err != nil {
		return err
	}
	return c.In.Put(ctx, name, Checked(content, digest))
}

// digesting reads a content, and fails at its end if it has another digest.
type digesting struct {
	r      io.Reader
	sum    hash.Hash
	digest string
}

// Checked returns a reader of a content, whose last read fails with a DigestError if it has another digest.
func Checked(r io.Reader, digest string) io.Reader { return &digesting{r, sha256.New(), digest} }

func (d *digesting) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := prefix + hex.EncodeToString(d.sum.Sum(nil)); got != d.digest {
			return n, &DigestError{Want: d.digest, Got: got}
		}
	}
	return n, err
}
