package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// deadlines are how long the server waits for a client, with or without a token. Without them, a client that sends half of a request, or
// doesn't read the answer, keeps a connection and a goroutine for ever. Only waiting counts: neither the work of the server nor the time
// that a whole request takes. huma reads the bodies that have a schema, within a time of its own.
type deadlines struct {
	write time.Duration // for a piece of an answer to be taken
	read  time.Duration // for the next piece of a request
	rest  time.Duration // for the rest of a request that is answered already, which net/http reads before it sends the answer
	place time.Duration // for a place of a large report: about as long as its runner waits for the answer
}

// usualDeadlines are for clients behind slow lines, and for readers of a log who have stopped it for a while.
var usualDeadlines = deadlines{write: 5 * time.Minute, read: 30 * time.Second, rest: 5 * time.Second, place: time.Minute}

// answered is an answer. It remembers the status, and bounds how long it waits for the client.
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
	a.await(a.deadlines.write)
	defer a.await(0)
	return a.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (a *answered) FlushError() error {
	a.await(a.deadlines.write)
	defer a.await(0)
	return a.controller.Flush()
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// await begins the time for the client to take what is written, or ends it. A connection of a test may have no deadlines.
func (a *answered) await(d time.Duration) {
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	_ = a.controller.SetWriteDeadline(at)
}

// serve has a handler answer a request.
func (d deadlines) serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	a := &answered{ResponseWriter: w, controller: http.NewResponseController(w), deadlines: d}
	a.await(0) // that of the request before on the connection
	var whole *wholeBody
	if r.Body != nil && r.Body != http.NoBody {
		whole = &wholeBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context())
		r.Body = whole
	}
	defer func() {
		// net/http writes what it has kept back, after it has read the rest of the request. Without a rest, it waits for the next request
		// already, for which this is not.
		a.await(d.write)
		if whole != nil && !whole.read {
			_ = a.controller.SetReadDeadline(time.Now().Add(d.rest))
		}
	}()
	h.ServeHTTP(a, r)
}

// wholeBody knows whether it was read to its end.
type wholeBody struct {
	io.ReadCloser
	read bool
}

func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read = b.read || err == io.EOF
	return n, err
}

// body returns the body of a request that no schema bounds, of at most so many bytes.
func (s *Server) body(w http.ResponseWriter, r *http.Request, most int64) *pieces {
	return &pieces{from: http.MaxBytesReader(w, r.Body, most), controller: http.NewResponseController(w), wait: s.deadlines.read}
}

// pieces reads a request whose next piece must come in time.
type pieces struct {
	from       io.Reader
	controller *http.ResponseController
	wait       time.Duration
	err        error
}

// Read implements io.Reader.
func (p *pieces) Read(to []byte) (n int, err error) {
	if p.err != nil {
		return 0, p.err
	}
	_ = p.controller.SetReadDeadline(time.Now().Add(p.wait))
	defer func() { _ = p.controller.SetReadDeadline(time.Time{}) }()
	n, p.err = p.from.Read(to)
	return n, p.err
}

// broken reports whether the request was cut short, so that it is worth sending again.
func (p *pieces) broken() bool {
	var large *http.MaxBytesError
	return p.err != nil && !errors.Is(p.err, io.EOF) && !errors.As(p.err, &large)
}
