// Package httpmock answers the HTTP requests of a tool under test.
//
// An engine hands the tool's connections to a [Responder] (see engine.Mocks). A responder speaks HTTP/1.1 and HTTP/2, with
// and without TLS. Its certificates come from an authority that exists only in memory and only for this test. [Match], a
// pure function, decides which mock answers a request. A request that no mock answers is reset. Every request is recorded.
//
// # Bounds
//
// The tool is hostile. These are the limits of what it can make the responder hold, per test:
//
//   - 1,000 connections at once; further ones are reset
//   - 64 KiB of headers per request, and 100 streams per HTTP/2 connection
//   - bodies of any length; 64 are read at once, and the first 1 MiB of each is kept
//   - 10,000 recorded requests with 64 MiB in all, in the size that they have in a JSON report; a request beyond the 64 MiB
//     is recorded without its headers, query and body, and requests beyond the 10,000 are only counted
//   - 2 s until the first byte, 10 s for a TLS handshake and for a request's headers, 60 s of silence between requests
//   - 256 certificates
//
// A recording keeps at most 16 MiB of a body in each direction, and 256 MiB in all.
//
// A responder lasts as long as its test: closing it ends everything.
package httpmock

import "time"

const (
	maxConnections = 1000
	maxHeaderBytes = 64 << 10
	maxBodyKept    = 1 << 20
	maxBodies      = 64
	maxRequests    = 10_000
	maxRecorded    = 64 << 20
	maxShortened   = 500      // bytes of an address in a message, or in a record without room for all of it
	maxFirstLine   = 64 << 10 // the engine's line about a connection
	maxLeaves      = 256

	firstLineTimeout = 10 * time.Second
	silenceTimeout   = 2 * time.Second
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 10 * time.Second
	idleTimeout      = time.Minute
)
