// Package content stores trees of files under the digest of their tar. So a run can name its artifacts, and the files that its tool
// brings along, on any machine.
package content

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
	"strings"
)

// Store is the path of a directory that has a tar file for each tree:
//
//	HEX.tar          HEX is the file's SHA-256
//
// Other entries are files that are being written. The first tree makes the directory; the caller removes it.
type Store string

const digestPrefix = "sha256:"

// DigestError says that a text isn't a digest, which is sha256: and 64 hexadecimal digits in lower case.
type DigestError struct{ Text string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("%q is not a digest", e.Text)
}

// Path returns the path of a tree's file, which may not exist. The error is a [*DigestError].
func (s Store) Path(digest string) (string, error) {
	text, err := Digits(digest)
	if err != nil {
		return "", err
	}
	return filepath.Join(string(s), text+".tar"), nil
}

// Digits returns the hexadecimal digits of a digest, which are safe in the name of a file. The error is a *DigestError.
func Digits(digest string) (string, error) {
	text, ok := strings.CutPrefix(digest, digestPrefix)
	if sum, err := hex.DecodeString(text); !ok || err != nil || len(sum) != sha256.Size || text != strings.ToLower(text) {
		return "", &DigestError{digest}
	}
	return text, nil
}

// Take moves a tar file into the store, and returns its digest. The file must be on the same file system.
func (s Store) Take(ctx context.Context, file string) (digest string, err error) {
	if digest, err = digestOf(ctx, file); err != nil {
		return "", err
	}
	place, err := s.Path(digest)
	if err == nil {
		err = os.Rename(file, place)
	}
	return digest, err
}

// Sweep removes everything except the trees with these digests. No process may be writing to the store.
func (s Store) Sweep(digests map[string]bool) error {
	entries, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if name, isTar := strings.CutSuffix(e.Name(), ".tar"); !isTar || !digests[digestPrefix+name] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(string(s), e.Name())))
		}
	}
	return err
}

// untilDone reads until a context is done.
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

func digestOf(ctx context.Context, file string) (digest string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(sum, untilDone{ctx, f}); err != nil {
		return "", err
	}
	return digestPrefix + hex.EncodeToString(sum.Sum(nil)), nil
}
