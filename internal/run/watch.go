package run

import (
	"context"
	"net"
)

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
	// Mocks answers for a test what its tool reaches out to; it is there when Request.Mocks is.
	Mocks Mocks
	// Kill, when closed, ends a tool that is being given its grace.
	Kill <-chan struct{}
}

// Mocks stands in for the world of a test's tool. Each method takes over a connection with the sandbox, in the protocols that
// engine.Mocks describes: it returns at once, and whoever serves the connection closes it. They may be called from several
// goroutines.
type Mocks interface {
	Connection(c net.Conn) // of the tool with whatever it connects to
	Command(c net.Conn)    // of a command that the tool calls
}
