package httpmock

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/responder"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// Options says what a responder answers, and how.
type Options struct {
	Mocks []suite.HTTPMock
	// Dir is the folder of the mocks' files. Nothing outside it is read, not even through a link.
	Dir string
	// Forward, unless nil, gets the requests that no mock answers.
	Forward *Forward

	// silence is silenceTimeout by default. Tests that are not about it set a longer time.
	silence time.Duration
}

// Responder answers the connections of one test.
type Responder struct {
	opts        Options
	authority   *authority
	server      *http.Server
	ready       chan net.Conn
	bodies      chan struct{} // one element for each body that is being read
	connections *responder.Connections
	records     *responder.Records[Request, *Request] // its dropped ones include refusals

	mu       sync.Mutex
	refusals []Refusal
}

// New starts a responder.
func New(opts Options) (*Responder, error) {
	a, err := newAuthority()
	if err != nil {
		return nil, err
	}
	opts.silence = cmp.Or(opts.silence, silenceTimeout)
	r := &Responder{
		opts: opts, authority: a,
		ready: make(chan net.Conn), bodies: make(chan struct{}, maxBodies),
		connections: responder.NewConnections(maxConnections),
		records:     responder.NewRecords[Request](len(opts.Mocks), maxRequests, maxRecorded),
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	r.server = &http.Server{
		Handler:           http.HandlerFunc(r.serve),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // a tool's mistakes are recorded instead
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, under(c))
		},
		ConnState: r.connState,
	}
	r.connections.Go(func() { _ = r.server.Serve(readyListener{r}) }) // ends with Close
	return r, nil
}

// Authority returns the certificate, as PEM, that the sandbox must trust.
func (r *Responder) Authority() []byte { return r.authority.pem() }

// Close ends all connections and waits until nothing of the responder is left.
func (r *Responder) Close() error {
	r.connections.End()
	err := r.server.Close() // ends requests that neither read nor write
	r.connections.Wait()
	if r.opts.Forward != nil {
		r.opts.Forward.close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// readyListener hands connections that are known to speak HTTP to the server.
type readyListener struct{ r *Responder }

func (l readyListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.r.ready:
		return c, nil
	case <-l.r.connections.Ending():
		return nil, net.ErrClosed
	}
}
func (l readyListener) Close() error   { return nil }
func (l readyListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// Serve takes over one of the tool's connections from an engine (see engine.Mocks) and returns immediately. A connection
// that arrives after Close is closed.
func (r *Responder) Serve(c net.Conn) {
	r.connections.Serve(c, func(within bool) { r.take(c, within) })
}

// take passes one connection to the server, or refuses it. It returns when the connection is closed.
func (r *Responder) take(raw net.Conn, within bool) {
	closed := make(chan struct{})
	c, err := newConnection(raw, func() { close(closed) })
	if err != nil || !within {
		if err == nil {
			r.refuse(c, fmt.Errorf("the tool has more than %d connections at once", maxConnections))
		}
		c.reset()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready, err := r.admit(ctx, c)
	if err != nil {
		if errors.Is(err, errSilent) {
			_ = c.Close() // always nil
			return
		}
		r.refuse(c, err)
		c.reset()
		return
	}
	select {
	case r.ready <- ready:
		<-closed
	case <-r.connections.Ending():
		c.reset()
	}
}

// refuse records a connection without a request, unless the responder itself is closing.
func (r *Responder) refuse(c *connection, why error) {
	if r.connections.Ended() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refusals) >= maxRequests {
		r.records.Drop(false)
		return
	}
	refusal := Refusal{Host: c.about.Address, Port: c.about.Port, Problem: why.Error()}
	if len(c.about.Names) > 0 {
		refusal.Host = c.about.Names[0]
	}
	r.refusals = append(r.refusals, refusal)
}

// connectionKey is the key of the connection in the context of a request.
type connectionKey struct{}

// under returns the engine's connection that c is based on, or nil.
func under(c net.Conn) *connection {
	for {
		switch conn := c.(type) {
		case *connection:
			return conn
		case *peeked:
			return conn.conn
		case interface{ NetConn() net.Conn }:
			c = conn.NetConn()
		default:
			return nil
		}
	}
}

// connState records the connections on which package net/http itself refused a malformed request. A connection on which no
// request began is not recorded: clients open spare ones, and over HTTP/2 also send their preface on them.
func (r *Responder) connState(c net.Conn, state http.ConnState) {
	conn := under(c)
	if conn == nil {
		return
	}
	if t, ok := c.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol == "h2" {
		return
	}
	conn.mu.Lock()
	conn.active = conn.active || state == http.StateActive
	malformed := state == http.StateClosed && conn.active && conn.served == 0
	conn.mu.Unlock()
	if malformed {
		r.refuse(conn, errors.New("the tool sent a malformed HTTP request, or none in time"))
	}
}

// Requests returns the requests so far, in the order in which they were answered.
func (r *Responder) Requests() []Request { return r.records.All() }

// Refusals returns the connections so far on which no request came.
func (r *Responder) Refusals() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Refusal(nil), r.refusals...)
}

// Dropped returns the number of requests and connections that weren't recorded, because there were too many.
func (r *Responder) Dropped() int { return r.records.Dropped() }

// Lost returns the number of dropped requests and connections that nothing answered.
func (r *Responder) Lost() int { return r.records.Lost() }

// Used returns the number of requests that each mock has answered, in the order of Options.Mocks.
func (r *Responder) Used() []int { return r.records.Used() }
