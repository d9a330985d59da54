package run

import "context"

// Runner carries out runs: here, or wherever it decides.
//
// Run returns when the run has ended and left nothing behind. The result is never nil; err is the failure behind a status of
// error, denied or lost, and nil where it is the tool's own. Cancelling ctx asks the tool to end: TERM, and KILL after the
// request's grace. Run may be called from several goroutines.
type Runner interface {
	Run(ctx context.Context, req *Request, watch Watch) (*Result, error)
}

// Watch is how a caller follows a run, and hurries its end.
type Watch struct {
	// Emit is called with each event, one at a time, and must not block for long.
	Emit func(Event)
	// Mask, unless nil, is called once the run has its secrets, and before the tool starts, with a sealed [Handed]: what is to be
	// masked from here on in all that knows of this run. It may be called from any goroutine.
	Mask func(sealed []byte)
	// Kill, when closed, ends a tool that is being given its grace.
	Kill <-chan struct{}
}
