package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
	"github.com/mayfly-run/mayfly/internal/tempdir"
)

// load is what a server was told, and has acknowledged.
type load struct {
	mu             sync.Mutex
	runs, contents []string
}

func (l *load) both() (runs, contents []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs, l.contents
}

// TestUnderLoad backs up a folder that is written to all the time: the restored one has everything that was acknowledged before, and all
// contents that it names.
func TestUnderLoad(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(dir, database))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"keys/one.txt", "tls/key.pem", "admin-token", "lock", "runner/instance", "contents/ab/.unfinished"} {
		write(name)
	}
	did := &load{}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("%d-%d", w, n)
				digest := archive.Digest([]byte(text))
				err := (archive.Contents{In: archive.Dir(dir)}).Put(t.Context(), digest, strings.NewReader(text))
				if err == nil {
					_, _, err = db.AddVersion(t.Context(), store.Version{Project: "p", Tool: text, Kind: "tool", Digest: digest, Manifest: []byte("{}")})
				}
				if err == nil {
					err = db.Accept(t.Context(), store.NewRun{ID: text, Project: "p", Pool: "default", Request: []byte("{}")}, nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
				did.mu.Lock()
				did.runs, did.contents = append(did.runs, text), append(did.contents, digest)
				did.mu.Unlock()
			}
		})
	}
	enough := func(more int) {
		t.Helper()
		before, _ := did.both()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if runs, _ := did.both(); len(runs) >= len(before)+more {
				return
			}
			if time.Now().After(end) {
				t.Fatal("nothing is written any longer")
			}
		}
	}
	enough(50)
	runs, digests := did.both()
	var file, withKeys bytes.Buffer
	if err := Write(t.Context(), &file, dir, Contents{Version: "v1"}); err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), &withKeys, dir, Contents{Keys: true}); err != nil {
		t.Fatal(err)
	}
	enough(10) // it goes on
	close(stop)
	work.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*backup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the backup leaves %v, %v", left, err)
	}

	to := filepath.Join(t.TempDir(), "new")
	what, err := Restore(t.Context(), bytes.NewReader(file.Bytes()), to)
	if err != nil || what.Version != "v1" || what.Keys || what.Format != format || time.Since(what.Begun) > time.Hour {
		t.Fatalf("restored %+v, %v", what, err)
	}
	there, err := os.ReadDir(to)
	if err != nil || len(there) != 2 || there[0].Name() != contents || there[1].Name() != database {
		t.Errorf("a backup without keys makes %v, %v", there, err)
	}
	restored, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(to, database))
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	for _, id := range runs {
		if _, err := restored.Run(t.Context(), "p", id); err != nil {
			t.Errorf("the run %s, accepted before the backup: %v", id, err)
		}
	}
	tools, err := restored.Tools(t.Context(), "p", store.Page{})
	if err != nil || len(tools) < len(digests) {
		t.Errorf("%d tools, %v, want at least %d", len(tools), err, len(digests))
	}
	for _, v := range tools {
		if has, err := (archive.Contents{In: archive.Dir(to)}).Renew(t.Context(), v.Digest); err != nil || !has {
			t.Errorf("the content of %s is missing: %v", v.Tool, err)
		}
	}
	t.Logf("%d runs before the backup, %d tools in it", len(runs), len(tools))

	other := t.TempDir()
	if what, err := Restore(t.Context(), &withKeys, other); err != nil || !what.Keys {
		t.Fatalf("restored %+v, %v", what, err)
	}
	for _, name := range []string{"keys/one.txt", "tls/key.pem"} {
		if data, err := os.ReadFile(filepath.Join(other, name)); err != nil || string(data) != name {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	damaged(t, file.Bytes())
}

// damaged restores backups that are wrong: each is refused, and leaves nothing.
func damaged(t *testing.T, good []byte) {
	flipped := bytes.Clone(good)
	for i := range 16 { // a single bit may be one that means nothing, such as a reserved one (RFC 8878, section 3.1.1)
		flipped[len(flipped)/2+i] ^= 0xff
	}
	index := `{"format":1}`
	for name, file := range map[string][]byte{
		"empty":             {},
		"cut short":         good[:len(good)-1],
		"cut in the middle": good[:len(good)/2],
		"changed":           flipped,
		"text":              []byte("this is not a backup"),
		"no index":          packed(t, "mayfly.db", "x"),
		"another format":    packed(t, "backup.json", `{"format":2,"version":"v9"}`, "mayfly.db", "x"),
		"no database":       packed(t, "backup.json", index),
		"wrong database":    packed(t, "backup.json", index, "mayfly.db", strings.Repeat("x", 5000)),
		"above the folder":  packed(t, "backup.json", index, "keys/../../x", "x"),
		"another file":      packed(t, "backup.json", index, "lock", "x"),
		"wrong content":     packed(t, "backup.json", index, "contents/ab/"+strings.Repeat("ab", 32), "x"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Restore(t.Context(), bytes.NewReader(file), dir); err == nil {
				t.Error("it is restored")
			}
			if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
				t.Errorf("it leaves %v, %v", there, err)
			}
		})
	}
}

// packed is a file with these names and texts.
func packed(t *testing.T, all ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := 0; i < len(all); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: all[i], Mode: 0o600, Size: int64(len(all[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(all[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestKilled checks that a backup removes what a killed one has left, and not what one that goes on has, nor anything else.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(dir, database))
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	live, err := tempdir.NewIn(dir, scratchPrefix)
	if err != nil {
		t.Fatal(err)
	}
	killed, other := filepath.Join(dir, scratchPrefix+"123"), filepath.Join(dir, "backup-2026")
	file := filepath.Join(dir, scratchPrefix+"mine.mfb")
	for _, one := range []string{killed, other} {
		if err := os.Mkdir(one, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(one, database), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), &bytes.Buffer{}, dir, Contents{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{killed: false, live.Path: true, other: true, file: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, and it should be there: %v", path, err, want)
		}
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
}

// TestRemovedMeanwhile removes a file between its listing and its copy.
func TestRemovedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		folder string
		want   error
	}{{contents, nil}, {logs, nil}, {keys, fs.ErrNotExist}, {tlsDir, fs.ErrNotExist}} {
		t.Run(c.folder, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, c.folder), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				if err := os.WriteFile(filepath.Join(dir, c.folder, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			w := &writer{ctx: t.Context(), tar: tar.NewWriter(&out), dir: dir}
			err := w.folder(c.folder, func(path string) bool {
				if filepath.Base(path) == "a" {
					if err := os.Remove(filepath.Join(dir, path)); err != nil {
						t.Error(err)
					}
				}
				return true
			})
			if !errors.Is(err, c.want) {
				t.Fatalf("it fails with %v, want %v", err, c.want)
			}
			if h, err := tar.NewReader(&out).Next(); c.want == nil && (err != nil || h.Name != c.folder+"/b") {
				t.Errorf("the backup has %v, %v, want b", h, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	if err := Write(t.Context(), &bytes.Buffer{}, dir, Contents{}); !errors.Is(err, ErrNoDatabase) {
		t.Errorf("a folder without a database: %v", err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		t.Errorf("it leaves %v, %v", there, err)
	}
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var notEmpty *NotEmptyError
	if _, err := Restore(t.Context(), bytes.NewReader(nil), dir); !errors.As(err, &notEmpty) {
		t.Errorf("a folder that isn't empty: %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("what was in it: %v", err)
	}
}
