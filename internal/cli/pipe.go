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

// watchReaders returns the streams such that gone is called once when nobody reads one of them any more, as after
// `| head -1`, and what is written to it from then on is dropped. Else the next line would end this program (SIGPIPE), and
// the finally of a workflow would never run. A terminal tells by HUP that it has gone.
func watchReaders(s streams, gone func()) (streams, func()) {
	// Notified, and not ignored, which the programs that this one starts would take over. The writes tell of it themselves.
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

// pipe is an output whose reader may go.
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
