package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// deadlines are how long the server waits for a client, with or without a token. Without them, a client that sends half of a request, or
// doesn't read the answer, keeps a connection and a goroutine for ever.
type deadlines struct {
	write time.Duration // for a piece of an answer to be taken
	read  time.Duration // for the next piece of a request
	rest  time.Duration // for the rest of a request that is answered already, which net/http reads before it sends the answer
}

// usualDeadlines are for clients behind slow lines, and for readers of a log who have stopped it for a while.
var usualDeadlines = deadlines{write: 5 * time.Minute, read: 30 * time.Second, rest: 5 * time.Second}

// answered is an answer. It remembers the status, and waits for the client as long as they say.
type answered struct {
	http.ResponseWriter
	controller *http.ResponseController
	deadlines  deadlines
	code       int
}

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answered) Write(p []byte) (int, error) {
	a.await()
	return a.ResponseWriter.Write(p)
}

// await begins the time for the next piece of the answer. A connection of a test may have no deadlines.
func (a *answered) await() { _ = a.controller.SetWriteDeadline(time.Now().Add(a.deadlines.write)) }

// end begins the time for the rest of the request.
func (a *answered) end() { _ = a.controller.SetReadDeadline(time.Now().Add(a.deadlines.rest)) }

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// body returns the body of a request, of at most so many bytes, and a function that ends waiting for it. huma reads the others.
func (s *Server) body(w http.ResponseWriter, r *http.Request, most int64) (body *pieces, done func()) {
	c := http.NewResponseController(w)
	return &pieces{Reader: http.MaxBytesReader(w, r.Body, most), controller: c, wait: s.deadlines.read}, func() { _ = c.SetReadDeadline(time.Time{}) }
}

// pieces reads a request whose next piece must come in time.
type pieces struct {
	io.Reader
	controller *http.ResponseController
	wait       time.Duration
	broken     error // the connection's, or that a piece didn't come in time
}

// Read implements io.Reader.
func (p *pieces) Read(to []byte) (int, error) {
	_ = p.controller.SetReadDeadline(time.Now().Add(p.wait))
	n, err := p.Reader.Read(to)
	var large *http.MaxBytesError
	if err != nil && err != io.EOF && !errors.As(err, &large) {
		p.broken = err
	}
	return n, err
}
