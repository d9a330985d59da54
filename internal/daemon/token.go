package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

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

func recoverCommand() *cobra.Command {
	var f serverFlags
	var name string
	c := &cobra.Command{
		Use:   "recover --data DIR",
		Short: "Make a token for an administrator when nobody has one any longer",
		Long: `Make a token for an administrator of all projects, and print it. End the server first. The audit log gets an entry of it.
Whoever may write to DIR or to the database may do this: the server trusts both.`,
		Example: `  mayfly server recover --data /var/lib/mayfly-server > admin-token
  mayfly login https://127.0.0.1:6293 --token-file admin-token`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.recover(c.Context(), name, c.OutOrStdout(), slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)))
		},
	}
	c.Flags().StringVar(&f.data, "data", "", "`DIR` of the server")
	c.Flags().StringVar(&f.database, "database", "", "`URL` of its PostgreSQL database, if it has one")
	c.Flags().StringVar(&name, "name", "recovered", "`NAME` of the token")
	_ = c.MarkFlagRequired("data") // the flag exists
	return c
}

func (f *serverFlags) recover(ctx context.Context, name string, out io.Writer, log *slog.Logger) (err error) {
	keeps := f.data
	if f.database == "" {
		keeps = filepath.Join(f.data, "mayfly.db")
	}
	if _, err := os.Stat(keeps); err != nil {
		return fmt.Errorf("%s isn't the folder of a server: %w", f.data, err)
	}
	lock, err := lockDir(f.data, "server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	db, err := f.openStore(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	text, hash := server.NewToken()
	if err := addAdministrator(ctx, db, name, hash); errors.Is(err, store.ErrExists) {
		return fmt.Errorf("there is a token %s already; give this one another --name", name)
	} else if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}
