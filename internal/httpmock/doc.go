// Package httpmock answers the HTTP requests of a tool under test.
//
// A [Responder] listens at a unix socket, where an engine hands it the tool's connections (see engine.Mocks). It speaks
// HTTP/1.1 and HTTP/2, plain and with TLS by an authority that lives in memory for this one test. Which mock answers a
// request is decided by [Match], a pure function. A request that none answers is reset, and every request is recorded.
//
// # Bounds
//
// The tool is hostile. What it can make the responder hold, per test:
//
//   - 1,000 connections at once; what is beyond them is reset
//   - 64 KiB of headers a request (and HTTP/2: 100 streams a connection)
//   - bodies of any length, 64 of them being read at once, of which 1 MiB is kept
//   - 10,000 recorded requests, and 64 MiB of them, as a report in JSON has them; of those beyond the 64 MiB a line is
//     kept, and what is beyond the 10,000 is counted
//   - 2 s to say something, 10 s for a TLS handshake and for a request's headers, 60 s of silence between requests
//   - 256 certificates
//
// A recording keeps 16 MiB of a body in each direction, and 256 MiB in all.
//
// Its time is the test's: closing the responder ends everything.
package httpmock

import "time"

const (
	maxConnections = 1000
	maxHeaderBytes = 64 << 10
	maxBodyKept    = 1 << 20
	maxBodies      = 64
	maxRequests    = 10_000
	maxRecorded    = 64 << 20
	maxShortened   = 500      // bytes of an address in a message, or in a record for which there is no room
	maxFirstLine   = 64 << 10 // the engine's line about a connection
	maxLeaves      = 256

	firstLineTimeout = 10 * time.Second
	silenceTimeout   = 2 * time.Second
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 10 * time.Second
	idleTimeout      = time.Minute
)
