package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
)

// tokens is what makes an administrator's token.
type tokens interface {
	store.Access
	store.Audit
}

// firstToken makes an administrator's token in dir at the first start, which is the only one with an empty audit log. It returns the file that
// has the token. It writes the text to another file before the database has the token, and puts it in place after that: a kill at
// any step leaves what the next start goes on with.
func firstToken(ctx context.Context, db tokens, dir string) (string, error) {
	file := filepath.Join(dir, "admin-token")
	head, err := db.AuditHead(ctx)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(file + ".new")
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case missing && head.Number > 0:
		return file, nil
	case missing:
		made, _ := server.NewToken()
		text = []byte(made + "\n")
		err = atomicfile.Write(file+".new", text, atomicfile.Options{Durable: true})
	}
	if err != nil {
		return "", fmt.Errorf("make the first token: %w", err)
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(string(text))))
	if head.Number == 0 {
		// ErrExists: another server of the database is faster.
		if err := addAdministrator(ctx, db, "admin", hash[:]); err != nil && !errors.Is(err, store.ErrExists) {
			return "", fmt.Errorf("make the first token: %w", err)
		}
	}
	switch _, err := db.Token(ctx, hash[:]); {
	case err == nil:
		if err := atomicfile.Write(file, text, atomicfile.Options{Durable: true}); err != nil {
			return "", fmt.Errorf("make the first token: %w", err)
		}
	case !errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("make the first token: %w", err)
	}
	return file, os.Remove(file + ".new")
}

// addAdministrator adds a token for an administrator of all projects, as the server itself.
func addAdministrator(ctx context.Context, db store.Access, name string, hash []byte) error {
	made := &store.Pending{Entry: audit.Entry{Action: "create-token", Subject: "tokens/" + name, Outcome: audit.OK, Details: map[string]string{"role": server.RoleAdmin}}}
	return db.AddToken(store.Audited(ctx, made), store.Token{Hash: hash, Name: name, Role: server.RoleAdmin})
}
