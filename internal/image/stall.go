package image

import (
	"context"
	"fmt"
	"io"
	"time"
)

// minRate is the lowest rate of a registry in bytes per second. A slower connection can't transfer an image in a useful time.
const minRate = 1000

// watchdog cancels a request that receives nothing for a while, or too little for longer.
//
// Waiting for the registry uses up a credit of time. Each byte adds the time that it may take at the lowest rate, up to a whole window.
// So the credit runs out after a window in which almost nothing was received, whatever was received before, while a short
// interruption is allowed.
type watchdog struct {
	silence, rate *time.Timer
	limit         time.Duration // of a single wait
	window        time.Duration // the largest credit
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

// reader returns a reader of r that the watchdog observes.
func (w *watchdog) reader(r io.Reader) io.Reader { return &watchedReader{w, r} }

type watchedReader struct {
	w *watchdog
	r io.Reader
}

// Read counts only the time that it waits for the registry, not the time between reads.
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
