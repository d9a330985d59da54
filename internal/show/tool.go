package show

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// ToolOptions are what a view of a tool's run shows, and what it says of the run.
type ToolOptions struct {
	// Quiet leaves out everything except the tool's own output and where some of it is missing, and why a run failed that couldn't be
	// carried out.
	Quiet bool
	// SuggestEgress prints the rules for what the run reached, at its end.
	SuggestEgress bool
	// NetworkGiven says that the tool's own rules have no effect, since --network overrides them.
	NetworkGiven bool
	// Terminal says that the tool has the terminal while it runs.
	Terminal bool
	// Grace is the time between TERM and KILL when the run is interrupted.
	Grace time.Duration
	// Place is the server that the run is on; empty for this machine.
	Place string
	// KeepFor is for how long the sandbox is kept if the tool fails; 0 is not at all.
	KeepFor time.Duration
}

// Tool shows the run of a tool: its output, and around it what a person needs to know. It is a [View].
type Tool struct {
	out   Output
	o     ToolOptions
	notes *notes

	mu       sync.Mutex
	spinner  *Spinner // nil without a terminal, and with Quiet
	egress   []engine.Connection
	running  bool
	retrying bool // another attempt is announced
	finished bool
	failed   error // the first failure to print what was asked for
}

// NewTool returns a view of a tool's run that begins.
func NewTool(out Output, o ToolOptions) *Tool {
	v := &Tool{out: out, o: o, notes: &notes{w: out.Err}}
	if out.Err.Terminal && !o.Quiet {
		v.spinner = NewSpinner(out.Err)
	}
	return v
}

// Stdout is where the tool's standard output goes, unless it comes in events.
func (v *Tool) Stdout() io.Writer {
	// On a terminal the two streams are one text.
	return &toolWriter{v: v, w: v.out.Out, noted: v.out.Out.Terminal}
}

// Stderr is where the tool's standard error goes, unless it comes in events.
func (v *Tool) Stderr() io.Writer { return &toolWriter{v: v, w: v.out.Err, noted: true} }

// toolWriter passes one of the tool's streams on to one of ours.
type toolWriter struct {
	v     *Tool
	w     io.Writer
	noted bool // notes are printed between its lines
}

func (o *toolWriter) Write(b []byte) (int, error) {
	o.v.mu.Lock()
	o.v.spinner.Stop() // the tool has the terminal from its first byte
	o.v.mu.Unlock()
	if !o.noted {
		return o.w.Write(b)
	}
	o.v.notes.begin()
	n, err := o.w.Write(b)
	o.v.notes.end(b[:n])
	return n, err
}

// Event implements [View].
func (v *Tool) Event(e run.Event) {
	if e.Log != nil {
		v.log(e.Log)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.Connection != nil && v.o.SuggestEgress {
		v.egress = append(v.egress, *e.Connection)
	}
	switch {
	case e.State != nil:
		v.state(e.State)
	case e.Dropped != nil:
		v.spinner.Stop()
		v.notes.add(droppedText(e.Dropped))
	case e.Connection != nil && !e.Connection.Allowed && !v.o.Quiet:
		v.spinner.Stop()
		text := deniedText(e.Connection)
		if v.o.NetworkGiven && e.Connection.Suggest != "" {
			text += ", and leave out --network"
		}
		v.notes.add("refused: " + text)
	}
}

// log prints output that comes in events.
func (v *Tool) log(l *run.Log) {
	w := v.Stdout()
	if l.Stream == "stderr" {
		w = v.Stderr()
	}
	if _, err := w.Write(l.Bytes()); err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.failed == nil {
			v.failed = err
		}
	}
}

func (v *Tool) state(s *run.StateChange) {
	v.running = s.State == run.Running
	switch s.State {
	case run.Queued:
		if s.Attempt > 1 {
			v.spinner.Stop()
			if !v.o.Quiet {
				v.notes.add(attemptText(s))
			}
		}
	case run.Pulling:
		v.spinner.Show("pulling " + s.Detail)
	case run.Creating:
		if s.Attempt > 1 {
			v.spinner.Stop()
			if !v.o.Quiet {
				v.notes.now(v.notes.note(attemptText(s)))
			}
			v.retrying = true
			v.spinner.Show(attemptText(s))
			return
		}
		v.spinner.Show("starting")
	case run.Running:
		if v.o.Terminal {
			v.spinner.Stop() // the terminal is the tool's
			return
		}
		v.spinner.Show("running")
	}
}

// Progress says what the run is doing meanwhile, such as how much of its image is here.
func (v *Tool) Progress(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spinner.Show(text)
}

// Interrupted implements [View].
func (v *Tool) Interrupted() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spinner.Stop()
	if v.o.Quiet || v.finished {
		return
	}
	text := "ending before the tool starts"
	if v.retrying {
		text = "ending before the next attempt"
	}
	if v.running {
		text = fmt.Sprintf("ending the tool within %s (press Ctrl-C again to kill it now, and once more to leave immediately)", v.o.Grace)
		if v.o.Place != "" {
			text = fmt.Sprintf("asking %s to end the tool within %s (press Ctrl-C again to leave the run to the server)", v.o.Place, v.o.Grace)
		}
	}
	v.notes.now(v.notes.note(text))
}

// Finish implements [View].
func (v *Tool) Finish(result *run.Result, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spinner.Stop()
	v.finished = true
	if v.o.SuggestEgress {
		if egressErr := printEgress(v.out.Out, v.egress); v.failed == nil {
			v.failed = egressErr
		}
	}
	defer v.notes.last()
	switch {
	case err != nil:
		v.notes.now(errorText(err))
	case !v.o.Quiet:
		v.end(result)
	}
	return unprinted("run", v.failed)
}

// end says how a run ended that could be carried out.
func (v *Tool) end(result *run.Result) {
	if result.Status != run.Succeeded {
		text := result.Reason
		if result.Hint != "" {
			text += "; " + result.Hint
		}
		v.notes.now(v.notes.note(text))
	}
	switch {
	case result.Kept:
		v.notes.now(v.notes.note(fmt.Sprintf("the sandbox is kept for %s; look inside with: mayfly shell %s", v.o.KeepFor, result.KeptID)))
	case v.o.KeepFor > 0 && result.Status != run.Succeeded:
		v.notes.now(v.notes.note("the sandbox is not kept"))
	}
	if v.out.Err.Terminal && !v.o.Terminal {
		v.notes.now(v.summary(result))
	}
}

// summary is the last line on a terminal.
func (v *Tool) summary(r *run.Result) string {
	mark := v.out.Err.paint("32", "✓")
	if r.Status != run.Succeeded {
		mark = v.out.Err.paint("31", "✗")
	}
	u := r.Usage
	text := fmt.Sprintf("%s %s in %s  memory %s  cpu %.2fs  network ↓%s ↑%s", mark, r.Status,
		(time.Duration(r.DurationMS) * time.Millisecond).String(), Size(u.MemoryPeakBytes), u.CPUSeconds,
		Size(u.NetworkRxBytes), Size(u.NetworkTxBytes))
	if v.o.Place != "" {
		text += "  on " + v.o.Place
	}
	return text
}
