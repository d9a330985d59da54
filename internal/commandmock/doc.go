// Package commandmock answers the calls of commands that a test replaces.
//
// Each process of a mocked command connects to a unix socket that is mounted in the sandbox, and an engine hands the
// connection to a [Responder] (see engine.Mocks). [Match], a pure function, decides which mock answers a call.
//
// # Bounds
//
// Any process of the sandbox may connect, and it may be hostile. These are the limits of what it can make the responder
// hold, per test:
//
//   - 200 connections at once; further ones are closed
//   - 10,000 arguments with 2 MiB in all, as Linux limits them (ARG_MAX), within 10 s
//   - standard input of any length; the first 1 MiB is kept
//   - 10,000 recorded calls, and 64 MiB of their arguments and input, in the size that they have in a JSON report; a call
//     beyond the 64 MiB is recorded without them, and calls beyond the 10,000 are only counted
//
// # Standard input
//
// A mock with a condition on the standard input waits for the end of the input. Any other mock answers when the input ends
// or pauses, or after a second if it does neither: a real command that doesn't read its input doesn't wait for a writer
// either.
package commandmock

import "time"

const (
	maxConnections = 200
	maxArgs        = 10_000
	maxArgBytes    = 2 << 20
	maxStdinKept   = 1 << 20
	maxCalls       = 10_000
	maxRecorded    = 64 << 20
	maxFrame       = 64 << 10

	argsTimeout = 10 * time.Second
	// stdinPause is how long a mock that needs no input waits for more input.
	stdinPause = 250 * time.Millisecond
	// stdinMost is how long it reads an input that doesn't pause.
	stdinMost = time.Second
)
