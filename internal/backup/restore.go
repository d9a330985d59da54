package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// maxIndex bounds the first file of a backup.
const maxIndex = 1 << 20

// unchecked is the database's name until it was checked, so that no server starts with a part of it.
const unchecked = database + ".restoring"

// NotEmptyError says that a folder has something already.
type NotEmptyError struct{ Dir string }

func (e *NotEmptyError) Error() string {
	return e.Dir + " isn't empty; restore into a new or an empty folder"
}

// Restore makes a server's folder of a backup. If it fails, the folder is empty again.
func Restore(ctx context.Context, in io.Reader, dir string) (what Contents, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return what, err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return what, err
	}
	if len(there) > 0 {
		return what, &NotEmptyError{dir}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clean(dir))
		}
	}()
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return what, err
	}
	defer z.Close()
	r := &reader{ctx: ctx, tar: tar.NewReader(z), dir: dir}
	if what, err = r.index(); err != nil {
		return what, err
	}
	if err := r.files(); err != nil {
		return what, err
	}
	// What comes after the last file has the checksum.
	if _, err := io.Copy(io.Discard, z); err != nil {
		return what, fmt.Errorf("the backup is damaged: %w", err)
	}
	if err := sqlstore.Check(ctx, filepath.Join(dir, unchecked)); err != nil {
		return what, err
	}
	// Once the database has its name, a server can start.
	if err := os.Rename(filepath.Join(dir, unchecked), filepath.Join(dir, database)); err != nil {
		return what, err
	}
	return what, atomicfile.SyncDir(dir)
}

// clean removes what is in a folder that was empty.
func clean(dir string) error {
	there, err := os.ReadDir(dir)
	for _, e := range there {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

type reader struct {
	ctx context.Context // lives only for one call
	tar *tar.Reader
	dir string
}

// index reads what the backup has.
func (r *reader) index() (what Contents, err error) {
	h, err := r.tar.Next()
	if err != nil || h.Name != index {
		return what, errors.Join(errors.New("it is not a backup of mayfly server"), err)
	}
	data, err := io.ReadAll(io.LimitReader(r.tar, maxIndex))
	if err != nil {
		return what, err
	}
	if err := json.Unmarshal(data, &what); err != nil {
		return what, fmt.Errorf("read the backup's %s: %w", index, err)
	}
	if what.Format != format {
		return what, fmt.Errorf("the backup has the format %d, and this program reads %d; use the mayfly that wrote it: %s", what.Format, format, what.Version)
	}
	return what, nil
}

// files writes the backup's files. There must be a database.
func (r *reader) files() error {
	found := false
	for {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		h, err := r.tar.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the backup is damaged: %w", err)
		}
		if err := r.file(h); err != nil {
			return err
		}
		found = found || h.Name == database
	}
	if !found {
		return errors.New("the backup has no database")
	}
	return nil
}

// file writes one file, if a server's folder has one of its name.
func (r *reader) file(h *tar.Header) (err error) {
	content := contentName.FindStringSubmatch(h.Name)
	top, _, _ := strings.Cut(h.Name, "/")
	known := h.Name == database || content != nil || top == logs || top == keys || top == tlsDir
	if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) || path.Clean(h.Name) != h.Name || !known {
		return fmt.Errorf("the backup has %q, which is not a server's file", h.Name)
	}
	to := filepath.Join(r.dir, filepath.FromSlash(h.Name))
	if h.Name == database {
		to = filepath.Join(r.dir, unchecked)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := atomicfile.Create(to, atomicfile.Options{Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), r.tar); err != nil {
		return fmt.Errorf("the backup is damaged: %w", err)
	}
	if content != nil && (hex.EncodeToString(sum.Sum(nil)) != content[2] || content[1] != content[2][:2]) {
		return fmt.Errorf("the backup is damaged: %s has another content", h.Name)
	}
	return out.Commit()
}
