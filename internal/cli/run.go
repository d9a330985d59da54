package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// runFlags are the flags of `mayfly run`.
type runFlags struct {
	args, env, secrets []string
	envFile            string
	image, user        string
	network            string
	timeout            string
	grace              time.Duration
	resources          map[string]*string
	pull               string

	resume, from, only string
	skip               []string

	json, quiet, dryRun, suggestEgress bool
	keepOnFailure                      bool
	keepFor                            time.Duration
	interactive, tty                   bool
}

func newRunCommand(s streams) *cobra.Command {
	f := &runFlags{resources: map[string]*string{}}
	c := &cobra.Command{
		Use:   "run FILE|FOLDER|NAME|- | run --image IMAGE [-- COMMAND…]",
		Short: "Run a tool, or a workflow of tools, each in a sandbox of its own",
		Long: `Run a tool in a sandbox of its own, or a workflow: each of its steps in one of its own.

The tool or workflow is a file, a folder with one, the name of a tool in the tools folder of
this project, or - for a definition on standard input. With --image there is none. What it prints appears as it prints it, its secrets masked.

Exit status: the tool's own (0-123); 124 timed out; 125 Mayfly's own failure; 126 the command
can't be executed; 127 it isn't in the image; 128+n killed by signal n (130 interrupted). That
of a workflow is the one of its first step that failed.`,
		Example: `  # a tool with an argument, and a secret from the environment
  mayfly run check.yaml --arg url=https://example.com --secret api_token=env:API_TOKEN

  # what would run, without running it
  mayfly run check.yaml --dry-run

  # one JSON event a line, the last one with type "result"
  mayfly run check.yaml --json

  # the egress rules that this tool needs
  mayfly run check.yaml --suggest-egress

  # a command in an image, without a file
  mayfly run --image alpine --network none -- echo hello

  # a shell in the tool's sandbox
  mayfly run shell.yaml -it

  # a workflow, and going on with it after a failure (see: mayfly runs)
  mayfly run release.yaml --arg version=1.2
  mayfly run --resume 019abc12-…

  # one step of it alone
  mayfly run release.yaml --only build-app`,
		Args: func(cmd *cobra.Command, args []string) error { return f.checkArgs(args, cmd.ArgsLenAtDash()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			f.keepOnFailure = f.keepOnFailure || cmd.Flags().Changed("keep-for")
			if f.resume != "" {
				return f.resumeWorkflow(cmd.Context(), s)
			}
			return f.run(cmd.Context(), s, args)
		},
	}
	f.add(c.Flags())
	exclusive(c, "from", "only")
	exclusive(c, "json", "quiet")
	exclusive(c, "json", "tty")
	exclusive(c, "suggest-egress", "json") // its connection events have the rules
	exclusive(c, "suggest-egress", "tty")
	return c
}

func (f *runFlags) add(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.args, "arg", "a", nil, "input `NAME=VALUE`; may be repeated")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "variable `NAME=VALUE`, or NAME to pass on this one; may be repeated")
	fl.StringVar(&f.envFile, "env-file", "", "`FILE` of variables, one NAME=VALUE a line; those of --env come after")
	fl.StringVar(&f.image, "image", "", "`IMAGE` to run, with the command after --, instead of a file")
	fl.StringVar(&f.user, "user", "", "`USER` to run as, such as 1000:1000")
	fl.StringVar(&f.network, "network", "", "what may be reached: `none`, public or open")
	fl.StringArrayVarP(&f.secrets, "secret", "s", nil, "secret `NAME=env:VAR`, NAME=file:PATH or NAME=- (standard input); may be repeated")
	fl.StringVar(&f.timeout, "timeout", "", "`DURATION` after which the tool is ended, such as 90s")
	fl.DurationVar(&f.grace, "grace", run.DefaultGrace, "time between TERM and KILL when the tool is ended; 0 kills it at once")
	for _, l := range tool.Limits() {
		f.resources[l.Name] = fl.String(l.Name, "", "`LIMIT`: "+l.Usage)
	}
	fl.StringVar(&f.pull, "pull", "missing", "when to pull the image: `missing`, always or never")
	jsonFlag(fl, &f.json, "print events as JSON, one a line")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print the tool's own output and nothing else")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the resolved run, secrets as references, and don't run it")
	fl.BoolVar(&f.suggestEgress, "suggest-egress", false, "at the end, print the egress rules that the run needed")
	fl.BoolVar(&f.keepOnFailure, "keep-on-failure", false, "keep the sandbox of a tool that failed, for mayfly shell")
	fl.DurationVar(&f.keepFor, "keep-for", time.Hour, "how long to keep it; implies --keep-on-failure")
	fl.BoolVarP(&f.interactive, "interactive", "i", false, "give the tool this standard input")
	fl.BoolVarP(&f.tty, "tty", "t", false, "give the tool a terminal")
	fl.StringVar(&f.resume, "resume", "", "go on with the `RUN` of a workflow that failed or was interrupted")
	fl.StringVar(&f.from, "from", "", "of a workflow, run this `STEP` and what comes after it")
	fl.StringVar(&f.only, "only", "", "of a workflow, run this `STEP` alone")
	fl.StringArrayVar(&f.skip, "skip", nil, "of a workflow, leave out this `STEP`; may be repeated")
}

func (f *runFlags) run(ctx context.Context, s streams, args []string) (err error) {
	def, text, err := f.definition(s, args)
	if err != nil {
		return err
	}
	f.warn(s, def)
	if def.Workflow != nil {
		return f.runWorkflow(ctx, s, def.Workflow, text)
	}
	t := def.Tool
	if f.from != "" || f.only != "" || len(f.skip) > 0 {
		return runUsage("--from, --only and --skip are about the steps of a workflow, and %s is a tool", t.Name)
	}
	if err := f.override(t); err != nil {
		return err
	}
	if err := f.checkSecretFlags(t); err != nil {
		return err
	}
	req := &run.Request{ID: run.NewID(), Tool: t, Terminal: f.tty, Grace: f.grace}
	if req.Inputs, err = assignments(f.args); err != nil {
		return err
	}
	if req.Environment, err = variables(f.env); err != nil {
		return err
	}
	h, err := host.Open()
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull, Notice: f.notice(s)})
	if err != nil {
		return err
	}
	if f.dryRun {
		images, err := h.Images()
		if err != nil {
			return err
		}
		return explainEnvironment(req, dryRun(s.out, runner, images, req))
	}
	host.DropNamedCaches(runner, t, f.notice(s))
	var opts local.Options
	req.KeepFor = f.keep()
	if f.interactive {
		opts.Stdin = s.in
	}
	gone, restore := make(chan struct{}), func() {}
	if f.tty {
		own, openErr := attachTerminal(s, req, &opts)
		if openErr != nil {
			return openErr
		}
		restore = own.giveBack
		defer func() { err = errors.Join(err, own.close()) }()
		watched, forget := watchReaders(s, func() { close(gone) }) // SIGPIPE would leave the terminal as the tool has it
		defer forget()
		s = watched
	}
	view := f.view(s, &opts)
	ctx, kill, stop := cancelOnSignals(ctx, gone, view.Interrupted, restore)
	defer stop()
	opts.Kill = kill
	result, err := runner.RunWith(ctx, req, opts)
	if err := view.Finish(result, explainEnvironment(req, err)); err != nil {
		return err
	}
	return statusOf(result)
}

// statusOf is the end of a command whose run has ended: with the exit status of the run.
func statusOf(result *run.Result) error {
	if result.ExitCode == 0 {
		return nil
	}
	return &exitError{status: result.ExitCode}
}

// keep is how long the sandbox of a tool that fails is kept; 0 is not at all.
func (f *runFlags) keep() time.Duration {
	if !f.keepOnFailure {
		return 0
	}
	return f.keepFor
}

// view shows a tool's run, and gets what happens in it from opts.
func (f *runFlags) view(s streams, opts *local.Options) show.View {
	if f.json {
		view := show.NewJSON(s.out)
		opts.Emit = view.Event
		return view
	}
	view := show.NewTool(s.output(), show.ToolOptions{
		Quiet: f.quiet, SuggestEgress: f.suggestEgress, NetworkGiven: f.network != "", Terminal: f.tty, Grace: f.grace, KeepFor: f.keep(),
	})
	opts.Emit, opts.Stdout, opts.Stderr = view.Event, view.Stdout(), view.Stderr()
	opts.Progress = func(e image.ProgressEvent) { view.Progress(progressText(e)) }
	return view
}

// definition is what is run, in the user namespace of an ordinary user.
func (f *runFlags) definition(s streams, args []string) (def *definition.Definition, text string, err error) {
	vetted := ownership.Vetted("")
	if f.image == "" {
		if vetted, err = vet(args[0]); err != nil {
			return nil, "", err
		}
	}
	if err := enterNamespace(vetted); err != nil { // before anything of stdin is read
		return nil, "", err
	}
	if err := f.readEnvFile(); err != nil {
		return nil, "", err
	}
	if f.image != "" {
		def, err = imageTool(f.image, args)
		return def, "", err
	}
	return loadDefinition(s.in, args[0])
}

// notice returns what prints notices, unless quiet.
func (f *runFlags) notice(s streams) func(text string) {
	if f.quiet {
		return func(string) {}
	}
	return notice(s.err)
}

// warn prints what runs but is probably a mistake, as validate does.
func (f *runFlags) warn(s streams, def *definition.Definition) {
	if f.quiet {
		return
	}
	for _, w := range def.Warnings() {
		w.Text = "warning: " + w.Text
		fmt.Fprintln(s.err, "mayfly:", w)
	}
}

// override applies the flags that stand above the definition.
func (f *runFlags) override(t *tool.Tool) error {
	if f.timeout != "" {
		if err := t.SetTimeout(f.timeout); err != nil {
			return runUsage("--timeout: %w", err)
		}
	}
	if f.user != "" {
		if err := t.SetUser(f.user); err != nil {
			return runUsage("--user: %w", err)
		}
	}
	if f.network != "" {
		if err := t.SetNetwork(f.network); err != nil {
			return runUsage("--network: %w", err)
		}
	}
	for name, value := range f.resources {
		if *value == "" {
			continue
		}
		if err := t.Resources.Set(name, *value); err != nil {
			return runUsage("--%s: %w", name, err)
		}
	}
	return f.checkValues()
}

// checkValues checks the values of the flags that tools and workflows share.
func (f *runFlags) checkValues() error {
	if !slices.Contains([]string{"missing", "always", "never"}, f.pull) {
		return runUsage("--pull %q is none of missing, always and never", f.pull)
	}
	if f.keepFor <= 0 {
		return runUsage("--keep-for %s is not a duration to keep a sandbox for", f.keepFor)
	}
	if f.grace < 0 {
		return runUsage("--grace %s is less than nothing", f.grace)
	}
	return nil
}

// assignments reads --arg NAME=VALUE.
func assignments(list []string) (map[string]any, error) {
	out := map[string]any{}
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, runUsage("--arg %q is not NAME=VALUE", item)
		}
		if _, twice := out[name]; twice {
			return nil, runUsage("--arg %s is given twice", name)
		}
		out[name] = value
	}
	return out, nil
}

// variables reads --env NAME=VALUE; a bare NAME passes on ours.
func variables(list []string) ([]tool.EnvVar, error) {
	var out []tool.EnvVar
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				return nil, runUsage("--env %s: there is no such variable here; write %s=VALUE", name, name)
			}
		}
		if !tool.ValidEnvName(name) {
			return nil, runUsage("--env %q is not NAME=VALUE", item)
		}
		out = append(out, tool.EnvVar{Name: name, Value: value})
	}
	return out, nil
}

func runUsage(format string, args ...any) error {
	return &usageError{command: "mayfly run", err: fmt.Errorf(format, args...)}
}
