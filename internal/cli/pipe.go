package cli

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/show"
)

// watchReaders returns streams that call gone once when one of them has no reader any longer, as after `| head -1`, and drop what
// is written to it from then on. Otherwise the next line would end this program (SIGPIPE), and the finally of a workflow would
// never run. A terminal that goes away sends HUP instead.
func watchReaders(s streams, gone func()) (streams, func()) {
	// The signal is caught and not ignored, since programs that this one starts would inherit that. The writes return EPIPE.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGPIPE)
	once := sync.OnceFunc(gone)
	watched := func(w io.Writer) io.Writer {
		if show.IsTerminal(w) {
			return w
		}
		return &pipe{w: w, gone: once}
	}
	return streams{in: s.in, out: watched(s.out), err: watched(s.err)}, func() { signal.Stop(signals) }
}

// pipe is an output whose reader may go away.
type pipe struct {
	w    io.Writer
	gone func()
}

func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		p.gone()
		return len(b), nil
	}
	return n, err
}
