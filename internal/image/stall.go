package image

import (
	"context"
	"fmt"
	"io"
	"time"
)

// minRate is the least that a registry has to send, in bytes a second. A slower line can't bring an image in a
// useful time, and a registry that sends less holds the pull up.
const minRate = 1000

// watchdog cancels a request through which no byte has come for a while, or too few for long.
//
// The wait for a registry is paid from a credit. Each byte that comes adds what it may take at the least rate, up to a
// whole window, so the credit runs out after a window in which next to nothing came, whatever was before, and a line
// that falters for a moment lives.
type watchdog struct {
	silence, rate *time.Timer
	limit         time.Duration // of one wait
	window        time.Duration
	credit        time.Duration
}

func watch(o Options, host string, cancel context.CancelCauseFunc) *watchdog {
	fail := func(said string) func() {
		return func() {
			cancel(&Error{Kind: ErrStalled, Msg: fmt.Sprintf("registry %s %s", host, said), Hint: "check the network, and try again"})
		}
	}
	return &watchdog{
		silence: time.AfterFunc(o.StallTimeout, fail(fmt.Sprintf("sent nothing for %s", o.StallTimeout))),
		rate:    time.AfterFunc(o.RateWindow, fail(fmt.Sprintf("sends less than %d bytes per second", minRate))),
		limit:   o.StallTimeout, window: o.RateWindow, credit: o.RateWindow,
	}
}

func (w *watchdog) stop() {
	w.silence.Stop()
	w.rate.Stop()
}

// reader gives the watchdog the bytes that come through it.
func (w *watchdog) reader(r io.Reader) io.Reader { return &watchedReader{w, r} }

type watchedReader struct {
	w *watchdog
	r io.Reader
}

// Read counts only the wait for the registry, not what we do between reads.
func (r *watchedReader) Read(p []byte) (int, error) {
	w := r.w
	w.silence.Reset(w.limit)
	w.rate.Reset(w.credit)
	start := time.Now()
	n, err := r.r.Read(p)
	w.stop()
	w.credit = min(w.window, w.credit-time.Since(start)+time.Duration(n)*time.Second/minRate)
	return n, err
}
