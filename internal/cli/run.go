package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func newRunCommand(s streams) *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "run FILE|FOLDER|NAME|- | run --image IMAGE [-- COMMAND…]",
		Short: "Run a tool, or a workflow of tools, each in its own sandbox",
		Long: `Run a tool in its own sandbox, or a workflow, with each step in its own sandbox.

The tool or workflow is a file, a folder that contains one, the name of a tool in the tools folder of
this project, or - for a definition on standard input. --image needs none of these. Output appears live,
with secrets masked.

Exit status: the tool's own (0-123); 124 timed out; 125 Mayfly's own failure; 126 the command
can't be executed; 127 it isn't in the image; 128+n killed by signal n (130 interrupted). A
workflow has the exit status of its first failed step.`,
		Example: `  # a tool with an argument, and a secret from the environment
  mayfly run check.yaml --arg url=https://example.com --secret api_token=env:API_TOKEN

  # what would run, without running it
  mayfly run check.yaml --dry-run

  # one JSON event per line, the last with type "result"
  mayfly run check.yaml --json

  # the egress rules that this tool needs
  mayfly run check.yaml --suggest-egress

  # a command in an image, without a file
  mayfly run --image alpine --network none -- echo hello

  # a shell in the tool's sandbox
  mayfly run shell.yaml -it

  # a workflow, and how to continue it after a failure (see: mayfly runs)
  mayfly run release.yaml --arg version=1.2
  mayfly run --resume 019abc12-…

  # only one step of it
  mayfly run release.yaml --only build-app

  # a tool of a server (see: mayfly login, mayfly tool push)
  mayfly run check --arg url=https://example.com --server https://mayfly.example.com`,
		Args: func(cmd *cobra.Command, args []string) error { return f.checkArgs(args, cmd.ArgsLenAtDash()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			f.keepOnFailure = f.keepOnFailure || cmd.Flags().Changed("keep-for")
			r, err := f.where.open()
			switch {
			case err != nil:
				return err
			case r != nil:
				return f.runRemote(cmd.Context(), s, r, args)
			case f.detach || f.pool != "" || len(f.runnerLabels) > 0 || f.concurrency != "" || len(f.labels) > 0 || f.priority != 0:
				return runUsage("--detach, --pool, --runner-label, --label, --priority and --concurrency are for a run on a server; give --server or --context")
			}
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

// run runs the tool or workflow that the command line names.
func (f *runFlags) run(ctx context.Context, s streams, args []string) error {
	def, text, err := f.definition(s, args)
	if err != nil {
		return err
	}
	f.warn(s, def)
	if def.Workflow != nil {
		return f.runWorkflow(ctx, s, def.Workflow, text)
	}
	return f.runTool(ctx, s, def.Tool)
}

// runTool runs a tool, or says with --dry-run what that would be.
func (f *runFlags) runTool(ctx context.Context, s streams, t *tool.Tool) error {
	req, err := f.request(t)
	if err != nil {
		return err
	}
	h, err := host.Open()
	if err != nil {
		return err
	}
	runner, err := openRunner(h, "mayfly run", f.secrets, s.in, host.RunnerOptions{Pull: f.pull, Notice: f.notice(s), Unmasked: f.unmasked(s)})
	if err != nil {
		return err
	}
	if f.dryRun {
		images, err := h.Images()
		if err != nil {
			return err
		}
		return explainInputs(t.Args, req.Environment, dryRun(s.out, runner, images, req))
	}
	host.DropNamedCaches(runner, t, f.notice(s))
	return f.followTool(ctx, s, runner, req)
}

// request applies the flags to a tool, and returns the request to run it.
func (f *runFlags) request(t *tool.Tool) (*run.Request, error) {
	if f.from != "" || f.only != "" || len(f.skip) > 0 {
		return nil, runUsage("--from, --only and --skip are about the steps of a workflow, and %s is a tool", t.Name)
	}
	if err := f.override(t); err != nil {
		return nil, err
	}
	if err := f.checkSecretFlags(t); err != nil {
		return nil, err
	}
	inputs, err := assignments(f.args)
	if err != nil {
		return nil, err
	}
	environment, err := variables(f.env)
	if err != nil {
		return nil, err
	}
	return &run.Request{
		ID: run.NewID(), Tool: t, Inputs: inputs, Environment: environment, Terminal: f.tty, Grace: f.grace, KeepFor: f.keep(),
	}, nil
}

// followTool runs a tool and shows it.
func (f *runFlags) followTool(ctx context.Context, s streams, runner *local.Runner, req *run.Request) (err error) {
	var opts local.Options
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
	if err := view.Finish(result, explainInputs(req.Tool.Args, req.Environment, err)); err != nil {
		return err
	}
	return statusOf(result)
}

// statusOf returns the error that ends a command with the exit status of its run.
func statusOf(result *run.Result) error {
	if result.ExitCode == 0 {
		return nil
	}
	return &exitError{status: result.ExitCode}
}

// view returns what shows a tool's run, and has opts report to it.
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

// definition returns what is run, read in the user namespace of an ordinary user.
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
		return imageTool(f.image, args)
	}
	return loadDefinition(s.in, args[0])
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
