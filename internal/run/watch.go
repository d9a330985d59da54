package run

import (
	"context"
	"net"
)

// Runner carries out runs, on this machine or another.
//
// Run returns when the run has ended and left nothing behind. The result is never nil. err is the failure behind a status of
// error, denied or lost, and nil if the tool itself failed. Cancelling ctx asks the tool to end: TERM, and KILL after the
// request's grace. Run may be called from several goroutines.
type Runner interface {
	Run(ctx context.Context, req *Request, watch Watch) (*Result, error)
}

// Watch is how a caller follows a run and speeds up its end.
type Watch struct {
	// Emit is called with each event, one at a time, and must not block for long.
	Emit func(Event)
	// Mask, if not nil, is called once the run has its secrets and before the tool starts, with a sealed [Handed]: the values
	// to mask from then on wherever this run's data goes. It may be called from any goroutine.
	Mask func(sealed []byte)
	// Mocks answers connections and commands of a test's tool. It must be set if Request.Mocks is.
	Mocks Mocks
	// Kill, when closed, kills a tool in its grace period.
	Kill <-chan struct{}
}

// Mocks answers in place of the real world for a test's tool. Each method takes over a connection with the sandbox, in the
// protocols that engine.Mocks describes. It returns immediately, and the code that serves the connection closes it. The
// methods may be called from several goroutines.
type Mocks interface {
	Connection(c net.Conn) // a connection that the tool opens
	Command(c net.Conn)    // a command that the tool calls
}
