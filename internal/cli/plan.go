package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/host"
)

// printSteps prints what a run of a workflow would do.
func printSteps(w io.Writer, r *host.WorkflowRun, steps []host.PlannedStep) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d steps, at most %d at once\n", r.Workflow.Name, len(steps), r.Plan.MaxParallel)
	for n, p := range steps {
		fmt.Fprintf(&out, "\n%d. %s  (tool %s, image %s)\n", n+1, p.Step, p.Tool, p.Image)
		say := func(what, format string, args ...any) {
			fmt.Fprintf(&out, "   %-8s "+format+"\n", append([]any{what}, args...)...)
		}
		switch {
		case p.Finally:
			say("after", "all steps of the workflow, however they ended")
		case len(p.After) > 0:
			say("after", "%s", strings.Join(p.After, ", "))
		}
		if p.Condition != "" {
			say("if", "%s", p.Condition)
		}
		switch {
		case p.Runs != host.RunsSurely && p.Why != "":
			say("runs", "%s: %s", p.Runs, p.Why)
		case p.Why != "":
			say("runs", "yes: %s", p.Why)
		}
		switch {
		case p.Items > 0:
			say("items", "%d", p.Items)
		case p.Items < 0:
			say("items", "those of %s", r.Plan.Steps[n].ForEach.Reference)
		}
		for _, in := range r.Plan.Steps[n].Inputs {
			text, err := json.Marshal(p.Inputs[in.Name])
			if err != nil {
				return err
			}
			say("input", "%s = %s", in.Name, text)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
			say("env", "%s = %s", name, p.Environment[name])
		}
		if len(p.Secrets) > 0 {
			say("secrets", "%s", strings.Join(p.Secrets, ", "))
		}
		if len(p.Outputs) > 0 {
			say("outputs", "%s", strings.Join(p.Outputs, ", "))
		}
		if len(p.Runner) > 0 {
			say("runner", "a runner with the labels %s, if a server runs it", strings.Join(p.Runner, ", "))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
