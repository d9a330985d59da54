package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/backup"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/show"
)

// postgresBackup says how to back up a server whose database is PostgreSQL.
const postgresBackup = `  1. the database: pg_dump --format=custom --file=mayfly.dump DATABASE
  2. the contents of tools and the logs: DIR/contents and DIR/logs, or what --archive names (a copy while the server serves is good)
  3. the keys of the secrets, apart from the rest: DIR/keys, and DIR/tls if clients know the certificate by its fingerprint`

func backupCommand() *cobra.Command {
	var dir string
	var withKeys bool
	c := &cobra.Command{
		Use:   "backup FILE|- --data DIR",
		Short: "Write a server's folder to a file, while the server serves",
		Long: `Write what a server with SQLite keeps to FILE, or to standard output: the database as it is at one moment, the contents of
tools, and logs that were moved out of the database. The server may serve meanwhile. DIR needs room for a copy of the database.
With --archive, contents and logs are elsewhere: copy them after this.

The keys of the secrets are left out unless --with-keys is given: whoever has them and the database can read all secrets.
Without a copy of DIR/keys, the secrets of a restored server can't be opened.

With --database, back up these, in this order:
` + postgresBackup,
		Example: `  mayfly server backup /var/backups/mayfly-$(date +%F).mfb --data /var/lib/mayfly-server
  mayfly server backup - --data /var/lib/mayfly-server | ssh backup.example.com 'cat > mayfly.mfb'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return writeBackup(ctx, args[0], dir, withKeys, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&dir, "data", "", "`DIR` of the server")
	c.Flags().BoolVar(&withKeys, "with-keys", false, "also write the keys of the secrets and of the certificate: guard FILE as you guard them")
	_ = c.MarkFlagRequired("data") // the flag exists
	return c
}

func writeBackup(ctx context.Context, file, dir string, withKeys bool, out, errOut io.Writer) (err error) {
	what := backup.Contents{Version: program.ThisBuild().Version, Keys: withKeys}
	begun := time.Now()
	if file == "-" {
		err = backup.Write(ctx, out, dir, what)
	} else {
		err = writeBackupFile(ctx, file, dir, what)
	}
	if errors.Is(err, backup.ErrNoDatabase) {
		return fmt.Errorf("%w; with --database, back up these, in this order:\n%s", err, postgresBackup)
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", dir, err)
	}
	if file != "-" {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		said := out
		if !info.Mode().IsRegular() {
			said = errOut // the backup may be in out
		}
		fmt.Fprintf(said, "%s: %s, the server as of %s\n", file, show.Size(info.Size()), begun.Format("2006-01-02 15:04:05 MST"))
	}
	if withKeys {
		fmt.Fprintf(errOut, "The backup has the keys of the secrets: whoever reads it can open all of them.\n")
	} else {
		fmt.Fprintf(errOut, "WARNING: the backup has no keys. Keep a copy of %s elsewhere: without it, the secrets of a restored server are lost.\n"+
			"It has no certificate either: without a copy of %s, clients that know its fingerprint must log in again.\n", filepath.Join(dir, "keys"), filepath.Join(dir, "tls"))
	}
	return nil
}

func writeBackupFile(ctx context.Context, file, dir string, what backup.Contents) (err error) {
	file, info, err := atomicfile.Target(file)
	if err != nil {
		return err
	}
	if info != nil && !info.Mode().IsRegular() {
		return atomicfile.WriteInPlace(file, func(w io.Writer) error { return backup.Write(ctx, w, dir, what) })
	}
	f, err := atomicfile.Create(file, atomicfile.Options{Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := backup.Write(ctx, f, dir, what); err != nil {
		return err
	}
	return f.Commit()
}

func restoreCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "restore FILE|- --data DIR",
		Short: "Restore a server's folder from a backup",
		Long: `Restore DIR, which must be empty or missing, from a backup. Then start a server with it, of the same version or the next one.

The server is as it was at the backup. Runs that were accepted since are unknown to it, those that a runner had end as lost, and those
that waited are carried out, also if the old server has had them carried out since: end the old one first.`,
		Example: "  mayfly server restore mayfly-2026-01-31.mfb --data /var/lib/mayfly-server",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return restoreBackup(ctx, args[0], dir, c.InOrStdin(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&dir, "data", "", "`DIR` to make")
	_ = c.MarkFlagRequired("data") // the flag exists
	return c
}

func restoreBackup(ctx context.Context, file, dir string, in io.Reader, errOut io.Writer) error {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	what, err := backup.Restore(ctx, in, dir)
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	fmt.Fprintf(errOut, "%s is the server of %s. Start it: mayfly server --data %s\n", dir, what.Begun.Format("2006-01-02 15:04:05 MST"), dir)
	if !what.Keys {
		fmt.Fprintf(errOut, "WARNING: the backup has no keys. Before you start it, copy those of the old server to %s: without them, its secrets are lost.\n"+
			"Copy its certificate to %s too, otherwise clients that know its fingerprint must log in again.\n", filepath.Join(dir, "keys"), filepath.Join(dir, "tls"))
	}
	return nil
}
