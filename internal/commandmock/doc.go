// Package commandmock answers the calls of commands that a test replaces.
//
// A [Responder] listens at a unix socket that is mounted in the sandbox (see engine.Mocks): each process of a mocked
// command connects to it. Which mock answers a call is decided by [Match], a pure function.
//
// # Bounds
//
// Whoever connects is hostile, and need not be a mocked command. What it can make the responder hold, per test:
//
//   - 200 connections at once; what is beyond them is closed
//   - arguments of 2 MiB in all, as Linux takes them (ARG_MAX), and 10,000 of them, within 10 s
//   - standard input of any length, of which 1 MiB is kept
//   - 10,000 recorded calls, and 64 MiB of their arguments and input as a report in JSON has them; what is beyond is counted
//
// # Standard input
//
// A mock that asks for something of the standard input waits for its end. Any other answers when the input ends or
// pauses, or after a second of one that does neither: a command that doesn't read its input doesn't wait for whoever could write some.
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
	// stdinPause is how long a mock that needs no input waits for more of it.
	stdinPause = 250 * time.Millisecond
	// stdinMost is how long it reads one that doesn't pause.
	stdinMost = time.Second
)
