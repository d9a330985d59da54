package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/show"
)

// runRemote runs a tool on a server, and shows it as if it ran here.
func (f *runFlags) runRemote(ctx context.Context, s streams, r *remote.Remote, args []string) error {
	defer r.Close()
	if f.resume != "" {
		return f.resumeRemote(ctx, s, r)
	}
	n, err := f.newRun(ctx, s, r, args)
	if err != nil {
		return err
	}
	one, err := r.CreateRun(ctx, r.Project, n)
	if err != nil {
		return err
	}
	return f.accepted(ctx, s, r, one)
}

// resumeRemote goes on with a run of a workflow of a server.
func (f *runFlags) resumeRemote(ctx context.Context, s streams, r *remote.Remote) error {
	if err := f.checkRemote(); err != nil {
		return err
	}
	given := len(f.args) > 0 || len(f.env) > 0 || f.envFile != "" || f.timeout != "" || f.user != "" || f.network != "" || f.grace != run.DefaultGrace ||
		len(f.secrets) > 0 || f.pool != "" || len(f.runnerLabels) > 0 || f.concurrency != "" || len(f.labels) > 0 || f.priority != 0
	for _, value := range f.resources {
		given = given || *value != ""
	}
	if given {
		return runUsage("--resume: on a server, a resumed run keeps its inputs, variables, secrets, timeout, grace, user, network, resources, pool, labels, priority and concurrency key; " +
			"start the workflow again to give others")
	}
	one, err := r.Resume(ctx, r.Project, f.resume, &api.Selection{From: f.from, Only: f.only, Skip: f.skip})
	if err != nil {
		return err
	}
	return f.accepted(ctx, s, r, one)
}

// accepted follows a run that a server has accepted, or prints its id.
func (f *runFlags) accepted(ctx context.Context, s streams, r *remote.Remote, one *api.Run) error {
	if one.Waiting != "" {
		f.notice(s)(fmt.Sprintf("the run waits: %s (mayfly runner ls)", one.Waiting))
	}
	if f.detach && f.json {
		return printJSONLine(s.out, one)
	}
	if f.detach {
		_, err := fmt.Fprintln(s.out, one.ID)
		return err
	}
	return f.followRemote(ctx, s, r, one)
}

// followRemote shows a run of a server to its end.
func (f *runFlags) followRemote(ctx context.Context, s streams, r *remote.Remote, one *api.Run) error {
	id := one.ID
	view, err := f.remoteView(ctx, s, r, one)
	if err != nil {
		return lost(s, r, id, err)
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	following, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	// The first Ctrl-C asks for the end of the run, and the second leaves it to the server.
	asked, kill, stop := cancelOnSignals(ctx, nil, view.Interrupted, func() {})
	defer stop()
	asking.Go(func() {
		<-asked.Done()
		if !errors.Is(context.Cause(asked), errInterrupted) {
			return // stop has ended it: the run isn't to end because nobody can follow it
		}
		asking.Go(func() {
			if _, err := r.Cancel(following, r.Project, id); err != nil && !isOver(err) && following.Err() == nil {
				f.notice(s)(fmt.Sprintf("can't cancel the run: %v", err))
			}
		})
		select {
		case <-kill:
			leave(errLeft)
		case <-following.Done():
		}
	})
	result, err := r.Await(following, id, 0, view.Event, func(err error) {
		f.notice(s)(fmt.Sprintf("the connection to %s was cut (%v); trying again", r.Server(), err))
	})
	if errors.Is(context.Cause(following), errLeft) {
		fmt.Fprintf(s.err, "mayfly: left; the run goes on: mayfly logs -f %s %s\n", id, r.Flags())
		return &exitError{status: statusInterrupted}
	}
	if result == nil {
		return lost(s, r, id, err)
	}
	if err := view.Finish(result, err); err != nil {
		return err
	}
	return statusOf(result)
}

// lost says how to follow a run again that was accepted and can't be followed, and returns why.
func lost(s streams, r *remote.Remote, id string, why error) error {
	fmt.Fprintf(s.err, "mayfly: the run may go on: mayfly logs -f %s %s\n", id, r.Flags())
	return why
}

var errLeft = errors.New("left")

// remoteView shows a run of a server as if it were one on this machine.
func (f *runFlags) remoteView(ctx context.Context, s streams, r *remote.Remote, one *api.Run) (show.View, error) {
	switch {
	case f.json:
		return show.NewJSON(s.out), nil
	case one.Kind != "workflow":
		return show.NewTool(s.output(), show.ToolOptions{Quiet: f.quiet, SuggestEgress: f.suggestEgress, NetworkGiven: f.network != "", Grace: f.grace, Place: r.Server()}), nil
	}
	steps, err := r.Steps(ctx, r.Project, one.ID)
	if err != nil {
		return nil, err
	}
	w := show.Workflow{Name: one.Tool, Run: one.ID, Place: r.Server(), Flags: r.Flags()}
	for _, step := range steps.Steps {
		shown := show.Step{Name: step.Step}
		if step.Resumed || step.Code == run.CodeSkipped && step.Finished.IsZero() { // left out by the selection, so no event says so
			shown.Status, shown.Reason = step.Status, step.Reason
		}
		w.Steps = append(w.Steps, shown)
	}
	return f.newWorkflowView(s, w), nil
}

func isOver(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Reason == run.CodeOver
}

// newRun makes a request of the command line. A file is sent with what it names; a name that isn't a file is a tool of the server.
func (f *runFlags) newRun(ctx context.Context, s streams, r *remote.Remote, args []string) (*api.NewRun, error) {
	if err := f.checkRemote(); err != nil {
		return nil, err
	}
	if err := f.checkValues(); err != nil {
		return nil, err
	}
	values, err := f.values()
	if err != nil {
		return nil, err
	}
	n := &api.NewRun{Pool: f.pool, Runner: f.runnerLabels, Inputs: values.Inputs, Set: values.Set, Environment: values.Environment, Priority: f.priority}
	if n.Labels, err = labels(f.labels); err != nil {
		return nil, &usageError{command: "mayfly run", err: err}
	}
	if n.Secrets, err = f.givenSecrets(ctx, s, "mayfly run"); err != nil {
		return nil, err
	}
	if f.concurrency != "" {
		key, text, _ := strings.Cut(f.concurrency, "=")
		limit, err := strconv.Atoi(text)
		if key == "" || err != nil || limit < 1 {
			return nil, runUsage("--concurrency %q must be KEY=N, such as deploy-production=1", f.concurrency)
		}
		n.Concurrency = &api.Concurrency{Key: key, Limit: limit}
	}
	grace := f.grace.Seconds()
	n.GraceSeconds, n.Selection = &grace, api.Selection{From: f.from, Only: f.only, Skip: f.skip}
	return n, f.what(ctx, s, r, args, n)
}

// values are those of the flags of addValues.
func (f *runFlags) values() (*api.Changes, error) {
	if err := f.readEnvFile(); err != nil {
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
	out := &api.Changes{Inputs: inputs, Environment: map[string]string{}, Set: map[string]string{}}
	for _, v := range environment {
		out.Environment[v.Name] = v.Value
	}
	for name, value := range map[string]string{"timeout": f.timeout, "user": f.user, "network": f.network} {
		if value != "" {
			out.Set[name] = value
		}
	}
	for name, value := range f.resources {
		if *value != "" {
			out.Set[name] = *value
		}
	}
	return out, nil
}

// what sets what is run.
func (f *runFlags) what(ctx context.Context, s streams, r *remote.Remote, args []string, n *api.NewRun) (err error) {
	if f.image != "" {
		_, text, err := imageTool(f.image, args)
		if err == nil {
			n.Bundle, err = r.SendText(ctx, text)
		}
		return err
	}
	arg := args[0]
	if isOfServer(arg) {
		asName(s, arg)
		if n.Tool, n.Version, err = versioned(arg); err != nil {
			return &usageError{command: "mayfly run", err: err}
		}
		return nil
	}
	def, text, err := parseDefinition(s.in, arg)
	if err != nil {
		return err
	}
	if arg == "-" {
		n.Bundle, err = r.SendText(ctx, text)
		return err
	}
	found, _, err := toolPath(arg)
	if err != nil {
		return err
	}
	n.Bundle, _, err = r.Send(ctx, found.File, def, remote.Named)
	return err
}

// checkRemote refuses flags that are about this machine.
func (f *runFlags) checkRemote() error {
	for _, c := range []struct {
		name, why string
		given     bool
	}{
		{"interactive", "a run on a server goes on without this command, which has its standard input", f.interactive},
		{"tty", "a run on a server goes on without this terminal", f.tty},
		{"keep-on-failure", "the sandbox would be kept on the machine of a runner, where mayfly shell doesn't reach it", f.keepOnFailure},
		{"dry-run", "mayfly validate checks a definition, and the run of its tool shows the rest", f.dryRun},
		{"pull", "a runner pulls the images that it doesn't have", f.pull != "missing"},
	} {
		if c.given {
			return runUsage("--%s is for runs on this machine: %s; leave it out, or add --server local", c.name, c.why)
		}
	}
	return nil
}
