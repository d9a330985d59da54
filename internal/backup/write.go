package backup

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
	"github.com/mayfly-run/mayfly/internal/tempdir"
)

// These are the names in a backup, and in a server's folder.
const (
	database = "mayfly.db"
	contents = "contents"
	logs     = "logs"
	keys     = "keys"
	tlsDir   = "tls"
	index    = "backup.json"
)

// format is the version of the file's format.
const format = 1

// Contents says what a backup has.
type Contents struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that wrote it
	Begun   time.Time `json:"begun"`   // the database is as it was a moment later
	Keys    bool      `json:"keys"`    // the keys of the secrets, and the certificate's key
}

// ErrNoDatabase says that a folder has no database of SQLite.
var ErrNoDatabase = errors.New("there is no SQLite database")

// contentName is what a content is called in the archive's folder. Unfinished ones have other names.
var contentName = regexp.MustCompile(`^contents/([0-9a-f]{2})/([0-9a-f]{64})$`)

// scratchPrefix begins the names of the folders that have a copy of the database meanwhile. Nobody else uses such a name: a folder of
// backups, such as backup-2026, stays.
const scratchPrefix = "unfinished-backup-"

// Sweep removes what backups that were killed have left in a server's folder: copies of the database.
func Sweep(dir string) { tempdir.Sweep(dir, scratchPrefix) }

// Write writes a backup of the server's folder dir. A copy of the database is in that folder meanwhile.
func Write(ctx context.Context, out io.Writer, dir string, what Contents) (err error) {
	if _, err := os.Stat(filepath.Join(dir, database)); err != nil {
		return fmt.Errorf("%w in %s: %w", ErrNoDatabase, dir, err)
	}
	what.Format, what.Begun = format, time.Now().UTC().Truncate(time.Second)
	Sweep(dir)
	scratch, err := tempdir.NewIn(dir, scratchPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for a copy of the database: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	snapshot := filepath.Join(scratch.Path, database)
	if err := sqlstore.Snapshot(ctx, filepath.Join(dir, database), snapshot); err != nil {
		return err
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	w := &writer{ctx: ctx, tar: tar.NewWriter(z), dir: dir, at: what.Begun}
	if err := w.all(snapshot, what); err != nil {
		return errors.Join(err, z.Close())
	}
	return errors.Join(w.tar.Close(), z.Close())
}

type writer struct {
	ctx context.Context // lives only for one call
	tar *tar.Writer
	dir string
	at  time.Time
}

func (w *writer) all(snapshot string, what Contents) error {
	text, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return err
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: index, Mode: 0o600, Size: int64(len(text)), ModTime: w.at}); err != nil {
		return err
	}
	if _, err := w.tar.Write(text); err != nil {
		return err
	}
	if err := w.file(database, snapshot); err != nil {
		return err
	}
	if err := w.folder(contents, contentName.MatchString); err != nil {
		return err
	}
	if err := w.folder(logs, func(path string) bool { return !strings.HasPrefix(filepath.Base(path), ".") }); err != nil {
		return err
	}
	if !what.Keys {
		return nil
	}
	if err := w.folder(keys, func(string) bool { return true }); err != nil {
		return err
	}
	return w.folder(tlsDir, func(string) bool { return true })
}

// folder writes the files of a folder whose names are wanted. One that isn't there has none. The server removes contents and logs that
// it needs no longer, also while they are copied; a file of another folder that is gone is an error.
func (w *writer) folder(name string, wanted func(string) bool) error {
	err := fs.WalkDir(os.DirFS(w.dir), name, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !wanted(path) {
			return err
		}
		err = w.file(path, filepath.Join(w.dir, filepath.FromSlash(path)))
		if (name == contents || name == logs) && errors.Is(err, fs.ErrNotExist) {
			return nil // removed since it was listed
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		_, missing := os.Stat(filepath.Join(w.dir, name))
		if errors.Is(missing, fs.ErrNotExist) {
			return nil
		}
	}
	return err
}

func (w *writer) file(name, path string) (err error) {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: w.at}); err != nil {
		return err
	}
	if _, err := io.Copy(w.tar, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
