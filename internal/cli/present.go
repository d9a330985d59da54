package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
)

// presenter shows a run: events as JSON, or the tool's output with what a
// person needs to know around it. Its methods are safe from several goroutines.
type presenter struct {
	s     streams
	f     *runFlags
	notes *notes

	mu       sync.Mutex
	enc      *json.Encoder
	spinner  *spinner // nil when there is no terminal, or nothing to wait for
	egress   []engine.Connection
	running  bool
	again    bool // another attempt is announced
	finished bool
	failed   error // the first failure to print what was asked for
}

func newPresenter(s streams, f *runFlags) *presenter {
	p := &presenter{s: s, f: f, enc: json.NewEncoder(s.out)}
	p.enc.SetEscapeHTML(false)
	terminal := isTerminal(s.err)
	p.notes = &notes{w: s.err, color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if terminal && !f.json && !f.quiet {
		p.spinner = newSpinner(s.err)
	}
	return p
}

// isTerminal says whether a stream is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// attach has a run report to the presenter.
func (p *presenter) attach(opts *local.Options) {
	opts.Emit = p.event
	opts.Progress = p.progress
	if !p.f.json {
		// On a terminal the two are one text.
		opts.Stdout = &outputWriter{p: p, w: p.s.out, noted: isTerminal(p.s.out)}
		opts.Stderr = &outputWriter{p: p, w: p.s.err, noted: true}
	}
}

// outputWriter is one of the tool's streams on its way to ours.
type outputWriter struct {
	p     *presenter
	w     io.Writer
	noted bool // notes stand between its lines
}

func (o *outputWriter) Write(b []byte) (int, error) {
	o.p.mu.Lock()
	o.p.spinner.stop() // the tool has the terminal from its first byte
	o.p.mu.Unlock()
	if !o.noted {
		return o.w.Write(b)
	}
	o.p.notes.begin()
	n, err := o.w.Write(b)
	o.p.notes.end(b[:n])
	return n, err
}

func (p *presenter) event(e run.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Connection != nil && p.f.suggestEgress {
		p.egress = append(p.egress, *e.Connection)
	}
	if p.f.json {
		// A stream with a hole in it is none: what comes after the first failure isn't tried. A reader that has gone
		// ends this program (SIGPIPE).
		if p.failed == nil {
			p.failed = p.enc.Encode(e)
		}
		return
	}
	switch {
	case e.State != nil:
		p.state(e.State)
	case e.Connection != nil && !e.Connection.Allowed && !p.f.quiet:
		p.spinner.stop()
		text := deniedText(e.Connection)
		if p.f.network != "" && e.Connection.Suggest != "" {
			text += ", and leave out --network"
		}
		p.notes.add("refused: " + text)
	}
}

func deniedText(c *engine.Connection) string {
	target := c.Address
	if c.Host != "" && c.Host != c.Address {
		target = network.HostText(c.Host)
		if c.Address != "" {
			target += " (" + c.Address + ")"
		}
	}
	if c.Port != 0 {
		target = fmt.Sprintf("%s port %d", target, c.Port)
	}
	text := fmt.Sprintf("%s %s: %s", c.Protocol, target, c.Reason)
	if c.Remedy != "" {
		text += "; " + c.Remedy
	}
	return text
}

func (p *presenter) state(s *run.StateChange) {
	p.running = s.State == run.Running
	switch s.State {
	case run.Pulling:
		p.spinner.show("pulling " + s.Detail)
	case run.Creating:
		if s.Attempt > 1 {
			p.spinner.stop()
			if !p.f.quiet {
				p.notes.now(p.notes.note(attemptText(s)))
			}
			p.again = true
			p.spinner.show(attemptText(s))
			return
		}
		p.spinner.show("starting")
	case run.Running:
		if p.f.tty {
			p.spinner.stop() // the terminal is the tool's
			return
		}
		p.spinner.show("running")
	}
}

func (p *presenter) progress(e image.ProgressEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spinner.show(progressText(e))
}

// interrupted says what the first Ctrl-C does.
func (p *presenter) interrupted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spinner.stop()
	if p.f.quiet || p.f.json || p.finished {
		return
	}
	text := "ending before the tool starts"
	if p.again {
		text = "ending before the next attempt"
	}
	if p.running {
		text = fmt.Sprintf("ending the tool; it has %s (press Ctrl-C again to kill it now, and once more to leave at once)", p.f.grace)
	}
	p.notes.now(p.notes.note(text))
}

// finish says how the run ended. Its error is that not everything asked for could be printed.
func (p *presenter) finish(result *run.Result, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spinner.stop()
	p.finished = true
	if p.f.suggestEgress && !p.f.json {
		p.failed = printEgress(p.s.out, p.egress)
	}
	if p.failed != nil {
		p.failed = fmt.Errorf("print the run: %w", p.failed)
	}
	if p.f.json {
		return p.failed // the result event has it all
	}
	defer p.notes.last()
	if err != nil {
		var text strings.Builder
		printError(&text, err)
		p.notes.now(strings.TrimSuffix(text.String(), "\n"))
		return p.failed
	}
	if p.f.quiet {
		return p.failed
	}
	if result.Status != run.Succeeded {
		text := result.Reason
		if result.Hint != "" {
			text += "; " + result.Hint
		}
		p.notes.now(p.notes.note(text))
	}
	switch {
	case result.Kept:
		p.notes.now(p.notes.note(fmt.Sprintf("the sandbox is kept for %s; look inside with: mayfly shell %s", p.f.keepFor, result.KeptID)))
	case p.f.keepOnFailure && result.Status != run.Succeeded:
		p.notes.now(p.notes.note("the sandbox is not kept"))
	}
	if isTerminal(p.s.err) && !p.f.tty {
		p.notes.now(p.summary(result))
	}
	return p.failed
}

// summary is the last line on a terminal.
func (p *presenter) summary(r *run.Result) string {
	mark, code := "✓", "32"
	if r.Status != run.Succeeded {
		mark, code = "✗", "31"
	}
	if p.notes.color {
		mark = "\x1b[" + code + "m" + mark + "\x1b[0m"
	}
	u := r.Usage
	return fmt.Sprintf("%s %s in %s  memory %s  cpu %.2fs  network ↓%s ↑%s", mark, r.Status,
		(time.Duration(r.DurationMS) * time.Millisecond).String(), sizeText(u.MemoryPeakBytes), u.CPUSeconds,
		sizeText(u.NetworkRxBytes), sizeText(u.NetworkTxBytes))
}

// printEgress prints the rules for what a run reached, each once, as they
// stand in a tool's file.
func printEgress(w io.Writer, connections []engine.Connection) error {
	var rules []string
	for _, c := range connections {
		if c.Suggest != "" && !slices.Contains(rules, c.Suggest) {
			rules = append(rules, c.Suggest)
		}
	}
	slices.Sort(rules)
	text := "network:\n  egress:"
	if len(rules) == 0 {
		text += " []"
	}
	for _, r := range rules {
		text += "\n    - " + r
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
