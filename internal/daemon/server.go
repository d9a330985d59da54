package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/backup"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
	"github.com/mayfly-run/mayfly/internal/trace"
	"github.com/mayfly-run/mayfly/web"
)

// serverFlags are the flags of `mayfly server`.
type serverFlags struct {
	data, listen, database string
	withRunner             bool
	certificate, key       string
	logFormat              string
	lease                  time.Duration
	limits                 server.Limits
	queueSize              int
	metricsListen          string
	keeping
	carrier
}

func serverCommand() *cobra.Command {
	f := &serverFlags{}
	c := &cobra.Command{
		Use:   "server --data DIR",
		Short: "Run a server for a team: tools, runs, logs, and runners that carry runs out",
		Long: `Run a server. It keeps tools, runs and their logs, and hands runs to runners; with --with-runner, one of them
is in this process, and carries runs out on this machine.

At its first start it makes DIR, a certificate of its own unless --tls-cert is given, and a token for an administrator in
DIR/admin-token. Log in with it: mayfly login ADDRESS --token-file DIR/admin-token

INT and TERM end it: no new run is begun, those that run here are ended, and what they printed is kept.

If the environment has OTEL_EXPORTER_OTLP_ENDPOINT, it sends OpenTelemetry traces there.`,
		Example: `  mayfly server --with-runner --data /var/lib/mayfly-server

  # on PostgreSQL, with a certificate of your own, for runners on other machines
  mayfly server --data /var/lib/mayfly-server --listen :6293 \
    --database postgres://mayfly@db.example.com/mayfly --tls-cert server.crt --tls-key server.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.data, "data", "", "`DIR` for everything that the server keeps")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:6293", "`ADDRESS` to listen at")
	fl.StringVar(&f.database, "database", "", "`URL` of a PostgreSQL database, instead of SQLite in DIR")
	fl.BoolVar(&f.withRunner, "with-runner", false, "carry runs out on this machine too")
	fl.StringVar(&f.metricsListen, "metrics-listen", "", "`ADDRESS` at which Prometheus reads /metrics, over HTTP and without a token; by default nowhere")
	fl.StringVar(&f.certificate, "tls-cert", "", "`FILE` with the certificate and those between it and the authority, in PEM")
	fl.StringVar(&f.key, "tls-key", "", "`FILE` with its key, in PEM")
	fl.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	fl.DurationVar(&f.lease, "lease", 30*time.Second, "for how long a runner keeps its runs without a sign of life: `DURATION` from 3s to 30s")
	f.limits = server.DefaultLimits()
	fl.Float64Var(&f.limits.Requests, "limit-requests", f.limits.Requests, "how many requests a second a token may make on average; `N` of 0 for any number")
	fl.Float64Var(&f.limits.Failures, "limit-failures", f.limits.Failures, "how many requests without a valid token a minute an address may make on average; `N` of 0 for any number")
	fl.IntVar(&f.queueSize, "queue-size", 100_000, "how many runs of a project may wait; `N` of 0 for any number")
	f.keeping.add(fl)
	f.carrier.add(c)
	_ = c.MarkFlagRequired("data") // the flag exists
	c.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	c.AddCommand(backupCommand(), restoreCommand(), recoverCommand())
	return c
}

// check checks the flags, and returns the log.
func (f *serverFlags) check(errOut io.Writer) (*slog.Logger, error) {
	if least := min(f.limits.Requests, f.limits.Failures); least < 0 || math.IsNaN(least) {
		return nil, errors.New("--limit-requests and --limit-failures must be at least 0")
	}
	if f.queueSize < 0 {
		return nil, errors.New("--queue-size must be at least 0")
	}
	if f.lease < 3*time.Second || f.lease > 30*time.Second {
		return nil, fmt.Errorf("--lease %s is not between 3s and 30s", f.lease)
	}
	return logger(f.logFormat, errOut)
}

// run serves until ctx ends.
func (f *serverFlags) run(ctx context.Context, out, errOut io.Writer) (err error) {
	log, err := f.check(errOut)
	if err != nil {
		return err
	}
	if f.withRunner {
		if err := host.EnterNamespace(os.Args, ""); err != nil {
			return err
		}
	}
	lock, err := lockDir(f.data, "server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	backup.Sweep(f.data)
	db, err := f.openStore(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tokenFile, err := firstToken(ctx, db, f.data)
	if err != nil {
		return err
	}
	keys, err := secret.OpenKeys(filepath.Join(f.data, "keys"))
	if err != nil {
		return err
	}
	kept, err := f.openArchive(ctx)
	if err != nil {
		return err
	}
	conditions := condition.NewProcess("")
	defer func() { err = errors.Join(err, conditions.Close()) }()
	traces := trace.Open(ctx, trace.Options{Service: "mayfly-server", Version: program.ThisBuild().Version, Log: log})
	defer traces.Close()
	s := server.New(server.Options{
		Store: db, Archive: kept, Keys: keys, Conditions: conditions, Log: log, Lease: f.lease, Limits: f.limits, Keep: f.policy(), QueueSize: f.queueSize,
		Version: program.ThisBuild().Version, Traces: traces, Pages: web.Handler(),
	})
	defer s.Close()
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return f.serve(ctx, s, conditions, tokenFile, traces, out, log)
}

// serve says where the server is, and answers requests until ctx ends.
func (f *serverFlags) serve(ctx context.Context, s *server.Server, conditions condition.Evaluator, tokenFile string, traces *trace.Tracer, out io.Writer, log *slog.Logger) (err error) {
	front, err := f.front(ctx, s.Handler(), log)
	if err != nil {
		return err
	}
	watched, err := f.watched(ctx, s.Metrics(), log)
	if err != nil {
		return errors.Join(err, front.close(ctx))
	}
	defer func() { err = errors.Join(err, watched()) }()
	fmt.Fprintf(out, "Mayfly's server listens at https://%s\n", front.address)
	fmt.Fprintf(out, "Its certificate has the fingerprint %s\n", front.fingerprint)
	if _, err := os.Stat(tokenFile); err != nil {
		tokenFile = "FILE (with a token that you have: the first one was moved away)"
	}
	fmt.Fprintf(out, "Log in: mayfly login https://%s --token-file %s\n", front.address, tokenFile)
	var carry func() (*runner.Runner, error)
	if f.withRunner {
		carry = func() (*runner.Runner, error) { return f.runner(s, conditions, traces, log) }
	}
	return front.until(ctx, s, carry, log)
}

// until answers requests until ctx ends, and then ends the runner, if there is one, and the server in this order.
func (f *front) until(ctx context.Context, s *server.Server, carry func() (*runner.Runner, error), log *slog.Logger) (err error) {
	served := make(chan error, 1)
	go func() { served <- f.serve() }()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	var ran chan error // gets how the runner has ended; nil without one
	if carry != nil {
		r, err := carry()
		if err != nil {
			return errors.Join(err, f.close(ctx))
		}
		ran = make(chan error, 1)
		go func() { ran <- r.Run(serving) }()
	}
	for ending := false; !ending; {
		select {
		case <-ctx.Done():
			log.Info("ending")
			s.Drain()
			ending = true
		case err = <-ran:
			ran, ending = nil, runnerEnded(err, s.Drain, log)
		case err = <-served:
			served, ending = nil, true
		}
	}
	stop()
	if ran != nil { // it reports how what it runs has ended, before the server closes
		err = errors.Join(err, <-ran)
	}
	s.Close()
	err = errors.Join(err, f.close(context.WithoutCancel(ctx)))
	if served != nil {
		err = errors.Join(err, <-served)
	}
	return err
}

// runnerEnded is for the end of the runner in this process. The server ends with one that failed, since it was to carry runs out, and
// goes on without one that was drained.
func runnerEnded(err error, drain func(), log *slog.Logger) (ending bool) {
	if err == nil {
		log.Info("the runner in this process has ended; the server goes on without it")
		return false
	}
	log.Error("the runner in this process failed; the server ends", "error", err)
	drain()
	return true
}

func logger(format string, w io.Writer) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, fmt.Errorf("--log-format %q is neither text nor json", format)
}

// lockDir makes a folder, and keeps a second process of the kind that what names out of it.
func lockDir(dir, what string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the %s: %w", what, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	free, err := flock.Try(file, flock.Exclusive)
	if err == nil && !free {
		err = fmt.Errorf("another %s uses %s; end it first, or give this one another --data", what, dir)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (f *serverFlags) openStore(ctx context.Context, log *slog.Logger) (*sqlstore.Store, error) {
	if f.database != "" {
		return sqlstore.OpenPostgres(ctx, f.database, log)
	}
	return sqlstore.OpenSQLite(ctx, filepath.Join(f.data, "mayfly.db"))
}

// runner returns the runner in this process.
func (f *serverFlags) runner(s *server.Server, conditions condition.Evaluator, traces *trace.Tracer, log *slog.Logger) (*runner.Runner, error) {
	return f.beside(s, filepath.Join(f.data, "runner"), conditions, traces, log)
}

// front is what listens.
type front struct {
	address, fingerprint string
	listener             net.Listener
	http                 *http.Server
}

func (f *serverFlags) front(ctx context.Context, h http.Handler, log *slog.Logger) (*front, error) {
	config, fingerprint, err := f.tls()
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w; choose another --listen", f.listen, err)
	}
	out := newFront(l, h, log)
	out.http.TLSConfig, out.fingerprint = config, fingerprint
	return out, nil
}

// newFront returns what listens, without TLS.
func newFront(l net.Listener, h http.Handler, log *slog.Logger) *front {
	return &front{
		address: l.Addr().String(), listener: l,
		http: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // mistakes of clients
		},
	}
}

func (f *front) serve() (err error) {
	if f.http.TLSConfig == nil {
		err = f.http.Serve(f.listener)
	} else {
		err = f.http.ServeTLS(f.listener, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// close lets requests that have begun end, for a while.
func (f *front) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := f.http.Shutdown(ctx); err != nil {
		return f.http.Close()
	}
	return nil
}
