package engine

import (
	"context"
	"io"
)

// Engine starts sandboxes. Its methods may be called from several goroutines.
type Engine interface {
	// Start creates a sandbox and starts the tool in it. It returns when the
	// tool's first process has been executed, or with an error if that failed.
	// After an error nothing is left behind, and the streams' writers are no
	// longer used. Cancelling ctx while Start runs abandons the start; a
	// sandbox that has been returned no longer depends on ctx.
	//
	// A feature of the spec that the engine or this host can't enforce is an
	// [*Unsupported] error, a command that can't be executed is a
	// [*CommandError], and a spec that no host can run, or a local that lacks
	// what the spec names, is an [*InvalidError].
	Start(ctx context.Context, spec *Spec, local Local, streams Streams) (Sandbox, error)

	// Capabilities returns what the engine can do on this host. It asks no
	// other process and doesn't block.
	Capabilities() Capabilities
}

// Sandbox is one live container. Its methods may be called from several
// goroutines.
//
// The order of a sandbox's life: Start returns it, the tool ends (by itself or
// by a signal), the streams are drained, Events is closed, Wait returns, Close
// frees the rest. Close may be called at any time, and must be called.
type Sandbox interface {
	// Events delivers metrics and connections in the order they happened. The
	// channel is closed before Wait returns. The caller must receive until
	// then: events are never dropped, so a caller that stops receiving stops
	// the reports (not the tool).
	Events() <-chan Event

	// Signal sends a signal to the tool's first process; SIGKILL ends the
	// whole sandbox. A signal to a tool that has already ended is not an error.
	Signal(Signal) error

	// Resize sets the size of the tool's terminal, in character cells. Without
	// a terminal it does nothing.
	Resize(columns, rows uint16) error

	// Wait blocks until the tool has ended, every process of the sandbox is
	// gone and every byte of its output has been written to the streams. The
	// error is the engine's own failure ([ErrLost] if the sandbox vanished);
	// a tool's failure is in the Exit. Wait may be called more than once.
	Wait() (Exit, error)

	// Close kills the processes that still run, frees everything, and waits
	// until it is gone. It is idempotent and safe at any time; its error says
	// what it could not free. It leaves a sandbox whose exit says Kept.
	Close() error

	// Remove does what Close does, and ends a kept sandbox too.
	Remove() error
}

// Streams are the tool's standard streams. Each writer is called from one
// goroutine; a slow writer slows only the tool. A nil Stdin is empty, and a nil
// writer discards. With Spec.Terminal everything that the tool writes arrives
// on Stdout.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Signal is the number of a POSIX signal on Linux (amd64 and arm64). Package
// syscall lacks some of them on other systems, where mayfly is a client.
type Signal int

// The signals that Mayfly itself sends.
const (
	SIGINT  Signal = 2
	SIGKILL Signal = 9
	SIGTERM Signal = 15
)
