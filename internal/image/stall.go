package image

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watchdog cancels a request through which no byte has come for a while. A registry that trickles is kept: a slow line
// looks the same.
type watchdog struct {
	timer *time.Timer
	limit time.Duration
}

func watch(limit time.Duration, host string, cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{limit: limit, timer: time.AfterFunc(limit, func() {
		cancel(&Error{
			Kind: ErrStalled, Msg: fmt.Sprintf("registry %s sent nothing for %s", host, limit),
			Hint: "check the network, and try again",
		})
	})}
}

func (w *watchdog) stop() { w.timer.Stop() }

// reader pets the watchdog with what comes through it.
func (w *watchdog) reader(r io.Reader) io.Reader { return &watchedReader{w, r} }

type watchedReader struct {
	w *watchdog
	r io.Reader
}

func (r *watchedReader) Read(p []byte) (int, error) {
	// Only the wait for the registry counts, not what we do between reads.
	r.w.timer.Reset(r.w.limit)
	n, err := r.r.Read(p)
	r.w.timer.Stop()
	return n, err
}
