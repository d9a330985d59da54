package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/testrun"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// carrier is how a runner carries runs out: the flags that mayfly server --with-runner and mayfly runner share.
type carrier struct {
	name    string
	labels  []string
	slots   int
	spool   string
	keep    int
	keepFor string
	machine
}

func (c *carrier) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.name, "name", "", "`NAME` of the runner; by default the machine's")
	cmd.Flags().StringSliceVar(&c.labels, "label", nil, "`LABEL` of the runner, which runs may ask for; may be repeated")
	cmd.Flags().StringVar(&c.spool, "spool-size", shape.FormatSize(runner.DefaultSpoolSize), "how much of what can't be sent to the server waits on the disk, as a `SIZE` such as 512Mi")
	cmd.Flags().IntVar(&c.keep, "keep-sandboxes", defaultKept, "how many sandboxes of failed tools it keeps, of runs that ask for that, as a `NUMBER`; 0 keeps none")
	cmd.Flags().StringVar(&c.keepFor, "keep-sandboxes-for", defaultKeptFor, "how long it keeps each, as a `TIME` such as 10m, at most 30m")
	c.machine.add(cmd)
	cmd.Flags().IntVar(&c.slots, "slots", 2*runtime.NumCPU(), "how many runs it carries out at once, as a `NUMBER`")
}

// open returns the options of a runner that carries runs out on this machine. dir is for what it keeps; conditions are of workflows that are tested.
func (c *carrier) open(dir string, conditions condition.Evaluator, log *slog.Logger) (runner.Options, error) {
	o := runner.Options{Name: c.name, Labels: c.labels, Slots: c.slots, Version: program.ThisBuild().Version, Log: log}
	var err error
	if o.SpoolSize, err = shape.Decode(shape.Size(0, 1<<50), shape.Plain(c.spool), "--spool-size"); err != nil {
		return o, err
	}
	if o.Capacity, err = c.capacity(); err != nil {
		return o, err
	}
	o.Spool = filepath.Join(dir, "spool")
	h, err := host.Open()
	if err != nil {
		return o, err
	}
	carry, err := h.Runner(host.RunnerOptions{Pull: "missing"})
	if err != nil {
		return o, err
	}
	o.Content = content.Store(filepath.Join(dir, "contents"))
	carry.Content = o.Content
	o.Carry = func(c runner.Carriage) run.Runner {
		one := *carry
		policyFor := func(known string) *policy.Policy { return carry.Policy.For(known).With(c.Policy.For(known)) }
		one.Secrets, one.Sealer, one.Policy = c.Secrets, c.Sealer, policyFor(c.Tool)
		return &testrun.Runner{Runner: &one, Conditions: conditions, PolicyFor: policyFor}
	}
	if o.Keep, err = c.keeping(carry.Engine, filepath.Join(dir, "kept")); err != nil {
		return o, err
	}
	o.Sweep = func() error {
		tempdir.RemoveAbandoned()
		if sweeper, ok := carry.Engine.(engine.Sweeper); ok {
			return sweeper.Sweep()
		}
		return nil
	}
	if o.Name == "" {
		if o.Name, err = os.Hostname(); err != nil {
			return o, fmt.Errorf("the machine's name: %w; give the runner one with --name", err)
		}
	}
	return o, nil
}

// These are how many sandboxes a runner keeps, and for how long, unless somebody says otherwise.
const (
	defaultKept    = 4
	defaultKeptFor = "30m"
)

// keeping says which sandboxes a runner keeps. dir is for their names.
func (c *carrier) keeping(e engine.Engine, dir string) (runner.Keep, error) {
	if c.keep < 0 || c.keep > 100 {
		return runner.Keep{}, fmt.Errorf("--keep-sandboxes %d is not between 0 and 100", c.keep)
	}
	during, err := time.ParseDuration(c.keepFor)
	if err != nil || during <= 0 || during > api.MostKept {
		return runner.Keep{}, fmt.Errorf("--keep-sandboxes-for %q is not a time of at most %s, such as 10m", c.keepFor, api.MostKept)
	}
	keeper, ok := e.(engine.Keeper)
	if !ok {
		return runner.Keep{}, nil // on this system, a run that asks for it waits for another runner
	}
	return runner.Keep{Engine: keeper, Most: c.keep, For: during, Dir: dir}, nil
}

// beside returns a runner of a server in this process. dir is for what it keeps.
func (c *carrier) beside(s *server.Server, dir string, conditions condition.Evaluator, traces *trace.Tracer, log *slog.Logger) (*runner.Runner, error) {
	o, err := c.open(dir, conditions, log)
	if err != nil {
		return nil, err
	}
	id, err := instance(dir)
	if err != nil {
		return nil, err
	}
	o.Server, o.Traces = s.Link("default", o.Name, id), traces
	return runner.New(o)
}

// instance returns the text by which the server recognizes the runner of a folder, and tells it from others of the same name. It stays, so
// that a runner that is started again can say that it has nothing of what the one before had. It is as secret as a token.
func instance(dir string) (string, error) {
	file := filepath.Join(dir, "instance")
	data, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the runner's instance: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the runner's folder: %w", err)
	}
	text := rand.Text()
	if err := atomicfile.Write(file, []byte(text+"\n"), atomicfile.Options{Durable: true}); err != nil {
		return "", fmt.Errorf("make the runner's instance: %w", err)
	}
	return text, nil
}

type runnerFlags struct {
	carrier
	server, tokenFile, fingerprint, data, logFormat string
}

func runnerCommand() *cobra.Command {
	f := &runnerFlags{}
	c := &cobra.Command{
		Use:   "runner --server URL --token-file FILE --data DIR",
		Short: "Carry out runs of a server on this machine",
		Long: `Carry out runs of a server on this machine. The runner connects to the server, never the other way round, also through a
proxy (HTTPS_PROXY). Its token says which pool it serves: mayfly token create NAME --role runner --pool POOL --all-projects

INT and TERM end it: no new run is begun, those that run here are ended, and what they printed is reported. To let them finish,
drain it first: mayfly runner drain NAME

If the environment has OTEL_EXPORTER_OTLP_ENDPOINT, it sends OpenTelemetry traces there.

See also: mayfly runner ls, mayfly runner drain NAME`,
		Example: `  mayfly runner --server https://mayfly.example.com --token-file /etc/mayfly/runner-token --data /var/lib/mayfly-runner --label gpu`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, c.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.server, "server", "", "`URL` of the server")
	fl.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the runner's token")
	fl.StringVar(&f.fingerprint, "fingerprint", "", "`sha256:HEX` of the server's certificate, if no authority vouches for it")
	fl.StringVar(&f.data, "data", "", "`DIR` for what the runner keeps")
	fl.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	f.add(c)
	for _, name := range []string{"server", "token-file", "data"} {
		_ = c.MarkFlagRequired(name) // the flag exists
	}
	return c
}

func (f *runnerFlags) run(ctx context.Context, errOut io.Writer) (err error) {
	log, err := logger(f.logFormat, errOut)
	if err != nil {
		return err
	}
	if err := host.EnterNamespace(os.Args, ""); err != nil {
		return err
	}
	token, err := f.token()
	if err != nil {
		return err
	}
	lock, err := lockDir(f.data, "runner")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	client, err := api.NewClient(api.ClientOptions{Server: strings.TrimSuffix(f.server, "/"), Token: token, Fingerprint: f.fingerprint, UserAgent: "mayfly-runner/" + program.ThisBuild().Version})
	if err != nil {
		return err
	}
	defer client.Close()
	conditions := condition.NewProcess("")
	defer func() { err = errors.Join(err, conditions.Close()) }()
	o, err := f.open(f.data, conditions, log)
	if err != nil {
		return err
	}
	id, err := instance(f.data)
	if err != nil {
		return err
	}
	o.Server = client.Runner(o.Name, id)
	o.Traces = trace.Open(ctx, trace.Options{Service: "mayfly-runner", Version: o.Version, Log: log})
	defer o.Traces.Close()
	r, err := runner.New(o)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// maxToken bounds a token's file.
const maxToken = 64 << 10

func (f *runnerFlags) token() (string, error) {
	file, err := os.Open(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer file.Close()
	data, err := document.Read(file, maxToken)
	if err != nil {
		return "", fmt.Errorf("read the token %s: %w", f.tokenFile, err)
	}
	return strings.TrimSpace(string(data)), nil
}
