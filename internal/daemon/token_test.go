package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// stopped is a database at which a start ends, before or after it has the token.
type stopped struct {
	*sqlstore.Store
	after bool
}

var errStopped = errors.New("stopped")

func (s stopped) AddToken(ctx context.Context, t store.Token) error {
	if s.after {
		if err := s.Store.AddToken(ctx, t); err != nil {
			return err
		}
	}
	return errStopped
}

func TestFirstToken(t *testing.T) {
	for name, begun := range map[string]func(t *testing.T, db *sqlstore.Store, dir string){
		"at the first start": func(*testing.T, *sqlstore.Store, string) {},
		"after a start that ended before the database had it": func(t *testing.T, db *sqlstore.Store, dir string) {
			if _, err := firstToken(t.Context(), stopped{db, false}, dir); !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
		},
		"after a start that ended before its file was in place": func(t *testing.T, db *sqlstore.Store, dir string) {
			if _, err := firstToken(t.Context(), stopped{db, true}, dir); !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, dir := emptyServer(t)
			begun(t, db, dir)
			file, err := firstToken(t.Context(), db, dir)
			if err != nil || file != filepath.Join(dir, "admin-token") {
				t.Fatal(file, err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := tokenOf(t, db, string(text)); got.Name != "admin" || got.Project != "" || got.Role != server.RoleAdmin {
				t.Errorf("the token is %+v", got)
			}
			if _, err := os.Stat(file + ".new"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
}

// TestOneFirstToken has later starts make no token, also when the first one and its file are gone.
func TestOneFirstToken(t *testing.T) {
	db, dir := emptyServer(t)
	file, err := firstToken(t.Context(), db, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.RemoveToken(t.Context(), "", "admin"), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	for _, left := range []bool{false, true} { // of a server that was slower than another one
		if left {
			if err := os.WriteFile(file+".new", []byte("mfly_left\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := firstToken(t.Context(), db, dir); err != nil {
			t.Fatal(err)
		}
		all, err := db.Tokens(t.Context(), "", store.Page{})
		files, _ := filepath.Glob(file + "*")
		if err != nil || len(all) > 0 || len(files) > 0 {
			t.Errorf("left %v: %v, tokens %v, files %v", left, err, all, files)
		}
	}
}

func TestRecover(t *testing.T) {
	db, dir := emptyServer(t)
	for _, c := range []struct{ args, want string }{
		{"--data " + dir, ""},
		{"--data " + dir, "there is a token recovered already; give this one another --name"},
		{"--data " + dir + " --name ada", ""},
		{"--data " + filepath.Dir(dir), "isn't the folder of a server"},
	} {
		var out, errOut strings.Builder
		Main(t.Context(), append([]string{"server", "recover"}, strings.Fields(c.args)...), &out, &errOut)
		if c.want != "" {
			if !strings.Contains(errOut.String(), c.want) {
				t.Errorf("%s: %s, want %s", c.args, errOut.String(), c.want)
			}
			continue
		}
		if got := tokenOf(t, db, out.String()); got.Role != server.RoleAdmin || got.Project != "" {
			t.Errorf("%s: the token is %+v; %s", c.args, got, errOut.String())
		}
	}
	if head, err := db.AuditHead(t.Context()); err != nil || head.Number != 2 {
		t.Errorf("the audit log has %d entries, %v", head.Number, err)
	}
	lock, err := lockDir(dir, "server")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	var out, errOut strings.Builder
	if Main(t.Context(), []string{"server", "recover", "--data", dir, "--name", "bob"}, &out, &errOut) == 0 || !strings.Contains(errOut.String(), "another server uses") {
		t.Errorf("with a server that runs: %s%s", out.String(), errOut.String())
	}
}

func emptyServer(t *testing.T) (*sqlstore.Store, string) {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(dir, "mayfly.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, dir
}

func tokenOf(t *testing.T, db *sqlstore.Store, text string) store.Token {
	t.Helper()
	hash := sha256.Sum256([]byte(strings.TrimSpace(text)))
	got, err := db.Token(t.Context(), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return got
}
