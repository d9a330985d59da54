package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
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

	where        whereFlags
	detach       bool
	pool         string
	runnerLabels []string
	concurrency  string
	labels       []string
	priority     int
}

// addValues adds the flags that give a tool values, or override its definition.
func (f *runFlags) addValues(fl *pflag.FlagSet) {
	f.resources = map[string]*string{}
	fl.StringArrayVarP(&f.args, "arg", "a", nil, "input `NAME=VALUE`; may be repeated")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "variable `NAME=VALUE`, or NAME to pass on the variable of this process; may be repeated")
	fl.StringVar(&f.envFile, "env-file", "", "`FILE` of variables, one NAME=VALUE per line; --env overrides them")
	fl.StringVar(&f.user, "user", "", "`USER` to run as, such as 1000:1000")
	fl.StringVar(&f.network, "network", "", "what the command may reach: `none`, public or open")
	fl.StringVar(&f.timeout, "timeout", "", "end the tool after this `DURATION`, such as 90s")
	for _, l := range tool.Limits() {
		f.resources[l.Name] = fl.String(l.Name, "", "`LIMIT`: "+l.Usage)
	}
}

func (f *runFlags) addSecrets(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.secrets, "secret", "s", nil, "secret `NAME=env:VAR`, NAME=file:PATH or NAME=- (standard input); may be repeated")
}

func (f *runFlags) add(fl *pflag.FlagSet) {
	f.addValues(fl)
	fl.StringVar(&f.image, "image", "", "`IMAGE` to run, with the command after --, instead of a file")
	f.addSecrets(fl)
	fl.DurationVar(&f.grace, "grace", run.DefaultGrace, "time between TERM and KILL when the tool is stopped; 0 kills it immediately")
	fl.StringVar(&f.pull, "pull", "missing", "when to pull the image: `missing`, always or never")
	jsonFlag(fl, &f.json, "print events as JSON, one per line")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print only the tool's own output")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print the resolved run, with secrets as references, and don't run it")
	fl.BoolVar(&f.suggestEgress, "suggest-egress", false, "at the end, print the egress rules that the run needed")
	fl.BoolVar(&f.keepOnFailure, "keep-on-failure", false, "keep the sandbox if the tool fails, for mayfly shell")
	fl.DurationVar(&f.keepFor, "keep-for", time.Hour, "how long to keep it; implies --keep-on-failure")
	fl.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input to the tool")
	fl.BoolVarP(&f.tty, "tty", "t", false, "give the tool a terminal")
	f.where.add(fl)
	fl.StringVar(&f.pool, "pool", "", "on a server: the `POOL` of runners that may take it")
	fl.StringArrayVar(&f.labels, "label", nil, "on a server: a label of the run, `KEY=VALUE`, for mayfly runs --label; may be repeated")
	fl.IntVar(&f.priority, "priority", 0, "on a server: `N` from -100 to 100; of the runs of a project that wait, higher ones begin first")
	fl.StringVar(&f.concurrency, "concurrency", "", "on a server: run at most so many runs with a key of your own at once, as `KEY=N`")
	fl.StringSliceVar(&f.runnerLabels, "runner-label", nil, "on a server: a `LABEL` that the runner must have; may be repeated")
	fl.BoolVar(&f.detach, "detach", false, "on a server: print the run's id, with --json the run, and don't wait for it")
	fl.StringVar(&f.resume, "resume", "", "continue the `RUN` of a workflow that failed or was interrupted")
	fl.StringVar(&f.from, "from", "", "for a workflow: run this `STEP` and the steps after it")
	fl.StringVar(&f.only, "only", "", "for a workflow: run only this `STEP`")
	fl.StringArrayVar(&f.skip, "skip", nil, "for a workflow: leave out this `STEP`; may be repeated")
}

// override applies the flags that take precedence over the definition.
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
		return runUsage("--pull %q is not missing, always or never", f.pull)
	}
	if f.keepFor <= 0 {
		return runUsage("--keep-for %s must be longer than 0", f.keepFor)
	}
	if f.grace < 0 {
		return runUsage("--grace %s must not be negative", f.grace)
	}
	return nil
}

// keep is how long the sandbox of a tool that fails is kept; 0 is not at all.
func (f *runFlags) keep() time.Duration {
	if !f.keepOnFailure {
		return 0
	}
	return f.keepFor
}

// notice returns what prints notices, unless quiet.
func (f *runFlags) notice(s streams) func(text string) {
	if f.quiet {
		return func(string) {}
	}
	return notice(s.err)
}

// unmasked returns what prints the notice for a secret that isn't masked.
func (f *runFlags) unmasked(s streams) func(name string) {
	tell := f.notice(s)
	return func(name string) {
		tell(fmt.Sprintf("the secret %s has fewer than %d bytes, so it isn't masked in what tools print; use a longer value", name, secret.MinMasked))
	}
}

// assignments reads --arg NAME=VALUE.
func assignments(list []string) (map[string]any, error) {
	given, err := pairs("--arg", "NAME=VALUE", list)
	if err != nil {
		return nil, runUsage("%w", err)
	}
	out := map[string]any{}
	for name, value := range given {
		out[name] = value
	}
	return out, nil
}

// pairs reads a flag that is given once for each name.
func pairs(flag, form string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s %q is not %s", flag, item, form)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%s %s is given twice", flag, name)
		}
		out[name] = value
	}
	return out, nil
}

// variables reads --env NAME=VALUE; NAME alone passes on the variable of this process.
func variables(list []string) ([]tool.EnvVar, error) {
	var out []tool.EnvVar
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				return nil, runUsage("--env %s: there is no such variable in the environment; write %s=VALUE", name, name)
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

// checkArgs checks what the command line names.
func (f *runFlags) checkArgs(args []string, dash int) error {
	switch {
	case f.image != "" && f.resume != "":
		return errors.New("--resume already names what to run: leave --image out")
	case f.image != "" && len(args) > 0 && dash != 0:
		return fmt.Errorf("with --image, the command follows -- and there is no file: mayfly run --image %s -- %s", f.image, strings.Join(args, " "))
	case f.image != "":
		return nil
	case f.resume == "" && len(args) != 1:
		return explainArguments(args)
	case f.resume != "" && len(args) > 0:
		return errors.New("--resume already names the workflow: leave the file out")
	}
	return nil
}

// checkWorkflowFlags refuses flags that are for one tool.
func (f *runFlags) checkWorkflowFlags() error {
	for name, value := range f.resources {
		if *value != "" {
			return runUsage("--%s is for a tool; set resources in the tools of the workflow", name)
		}
	}
	switch {
	case f.user != "", f.network != "":
		return runUsage("--user and --network are for a tool; set them in the tools of the workflow: security: {user: …}, network")
	case f.interactive, f.tty:
		return runUsage("--interactive and --tty are for a tool: the steps of a workflow have no terminal")
	case f.suggestEgress:
		return runUsage("--suggest-egress is for a tool; --json has the rule of each connection of a step")
	}
	environment, err := variables(f.env)
	if err != nil {
		return err
	}
	for _, v := range environment {
		if !utf8.ValidString(v.Value) {
			return runUsage("--env %s: its value is not UTF-8, and the journal of a workflow's run holds only text; encode it, for example with base64", v.Name)
		}
	}
	for _, arg := range f.args {
		if name, value, _ := strings.Cut(arg, "="); !utf8.ValidString(value) {
			return runUsage("--arg %s: its value is not UTF-8, and the journal of a workflow's run holds only text; encode it, for example with base64", name)
		}
	}
	return f.checkValues()
}
