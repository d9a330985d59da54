package show

import (
	"fmt"
	"io"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// WorkflowOptions are what a view of a workflow's run shows, and what it says of the run.
type WorkflowOptions struct {
	// Quiet prints the tools' own output only, and why a run failed that couldn't be carried out.
	Quiet bool
	// Groups prints what GitHub Actions folds.
	Groups bool
	// Grace is the time between TERM and KILL when the run is interrupted.
	Grace time.Duration
}

// Workflow is what a view knows of a workflow before the first event of its run.
type Workflow struct {
	Name string
	// Run is the id of the run.
	Run string
	// Place is the server that the run is on; empty for this machine.
	Place string
	// Flags are those of a command that goes to Place.
	Flags string
	// Steps are all steps in the order of the definition, those of finally last.
	Steps []Step
}

// Step is a step before the first event: of a run that is resumed, how it ended before, and why.
type Step struct {
	Name   string
	Status run.State // empty for a step that is still to run
	Reason string
}

// NewWorkflow returns the view of a workflow's run that suits who reads it.
func NewWorkflow(out Output, o WorkflowOptions, w Workflow) View {
	switch {
	case o.Quiet:
		return &plain{out: out, o: o, w: w}
	case o.Groups:
		return newGroups(out, o, w)
	case out.Err.Terminal && out.Err.Cursor:
		return newTree(out, o, w)
	}
	return &plain{out: out, o: o, w: w}
}

func interruptedText(o WorkflowOptions, w Workflow) string {
	if w.Place != "" {
		return fmt.Sprintf("mayfly: asking %s to end the steps within %s; those of finally still run (press Ctrl-C again to leave the run to the server)", w.Place, o.Grace)
	}
	return fmt.Sprintf("mayfly: ending the steps within %s; those of finally still run (press Ctrl-C again to kill all of them now, and once more to leave immediately)", o.Grace)
}

// printWorkflowEnd says how a workflow ended, and how to resume it.
func printWorkflowEnd(out io.Writer, w Workflow, result *run.Result, err error) {
	Error(out, err)
	text := fmt.Sprintf("mayfly: %s %s in %s", w.Name, result.Status, durationText(time.Duration(result.DurationMS)*time.Millisecond))
	at := ""
	if w.Place != "" {
		text, at = text+" on "+w.Place, " "+w.Flags
	}
	if result.Reason != "" && result.Reason != string(result.Status) {
		text += ": " + result.Reason
	}
	fmt.Fprintln(out, text)
	if result.Status != run.Succeeded {
		fmt.Fprintf(out, "  to continue: mayfly run --resume %s%s\n", w.Run, at)
	}
}
