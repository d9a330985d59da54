package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/drafts"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/web"
)

// devPort is the port of mayfly dev unless that is in use: beside those of the server and of its metrics.
const devPort = 6295

// devProject is the project whose drafts are the files of the folder.
const devProject = "default"

type devFlags struct {
	port int
	any  bool // another port is as good, if that is in use
}

func devCommand() *cobra.Command {
	f := &devFlags{}
	var noOpen bool
	c := &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Write, run and test tools in the browser, over the files of a folder",
		Long: `Write, run and test the tools and workflows of a folder in the browser. What is saved there is written to the files of
DIR, by default this folder, and what another editor writes shows there at once. Runs are carried out on this machine.

It prints an address that lets a browser in once, within ten minutes, and opens it if this is a terminal. Enter prints
another one. Only this machine can connect, and nobody without such an address: other users of the machine can't use it.

Runs, logs and secrets of it are in a temporary folder, and are gone when it ends. Secrets are set in the browser: those of
mayfly secret aren't used. Ctrl-C ends it, and what runs; a second Ctrl-C doesn't wait for that.`,
		Example: `  mayfly dev
  mayfly dev tools --port 8080
  mayfly dev --no-open`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.any = !c.Flags().Changed("port")
			if f.port < 0 || f.port > 65535 {
				return fmt.Errorf("--port %d is not between 0 and 65535", f.port)
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			context.AfterFunc(ctx, stop) // the next signal ends it at once
			return f.run(ctx, append(args, ".")[0], os.Stdin, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().IntVar(&f.port, "port", devPort, "`PORT` of the address; 0 for any that is free. Without this flag, another one is taken if it is in use")
	c.Flags().BoolVar(&noOpen, "no-open", false, "don't open a browser; mayfly looks at it")
	return c
}

// run serves until ctx ends, and leaves nothing.
func (f *devFlags) run(ctx context.Context, dir string, in io.Reader, out, errOut io.Writer) (err error) {
	if err := host.EnterNamespace(os.Args, ""); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelWarn})) // people read it beside the address
	data, err := tempdir.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	kept := archive.Temporary{Dir: archive.Dir(data.Path)}
	db, token, err := devStore(ctx, data.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	folder, err := drafts.Open(dir, devProject, archive.Contents{In: kept}, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	keys, err := secret.OpenKeys(filepath.Join(data.Path, "keys"))
	if err != nil {
		return err
	}
	conditions := condition.NewProcess("")
	defer func() { err = errors.Join(err, conditions.Close()) }()
	l, port, err := f.listen(ctx)
	if err != nil {
		return err
	}
	s := server.New(server.Options{
		Store: db, Archive: kept, Keys: keys, Conditions: conditions, Log: log, Limits: server.DefaultLimits(), Version: program.ThisBuild().Version,
		Drafts: folder, Folder: folder.Path(), SessionCookie: "mayfly-session-" + port, Pages: web.Handler(),
	})
	defer s.Close()
	if err := s.Start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start: %w", err), l.Close())
	}
	entry := s.NewEntry(token, "127.0.0.1:"+port, "localhost:"+port)
	invite := func() { fmt.Fprintf(out, "  http://127.0.0.1:%s%s?code=%s\n", port, server.EntryPath, entry.Code()) }
	fmt.Fprintf(out, "The tools in %s are at\n", folder.Path())
	invite()
	fmt.Fprintln(out, "The address works once, within ten minutes. Enter prints another one; Ctrl-C ends this.")
	go eachLine(in, invite)
	carry := carrier{slots: 2 * runtime.NumCPU(), spool: shape.FormatSize(runner.DefaultSpoolSize), keep: defaultKept, keepFor: defaultKeptFor}
	return newFront(l, entry.Handler(), log).until(ctx, s, func() (*runner.Runner, error) {
		return carry.beside(s, filepath.Join(data.Path, "runner"), conditions, nil, log)
	}, log)
}

// eachLine calls do for each line, until there are no more or the process ends.
func eachLine(in io.Reader, do func()) {
	stayInBackground()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		do()
	}
}

// devStore makes a database with a token, whose text nobody knows: sessions are made from it.
func devStore(ctx context.Context, dir string) (*sqlstore.Store, store.Token, error) {
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "mayfly.db"))
	if err != nil {
		return nil, store.Token{}, err
	}
	_, hash := server.NewToken()
	token := store.Token{Hash: hash, Name: "dev", Role: server.RoleAdmin}
	if err := db.AddToken(ctx, token); err != nil {
		return nil, token, errors.Join(err, db.Close())
	}
	return db, token, nil
}

// listen listens at a port of this machine only.
func (f *devFlags) listen(ctx context.Context) (l net.Listener, port string, err error) {
	var lc net.ListenConfig
	at := func(port int) (net.Listener, error) {
		return lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	l, err = at(f.port)
	if err != nil && f.any {
		l, err = at(0)
	}
	if err != nil {
		return nil, "", fmt.Errorf("listen at port %d: %w; choose another --port, or leave it out", f.port, err)
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	return l, port, err
}
