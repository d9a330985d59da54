package httpmock

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// serve answers one request.
func (r *Responder) serve(w http.ResponseWriter, req *http.Request) {
	c, _ := req.Context().Value(connectionKey{}).(*connection)
	if c == nil {
		panic(http.ErrAbortHandler)
	}
	c.mu.Lock()
	c.served++
	c.mu.Unlock()
	record := describe(req, c)
	raw := int64(0)
	if r.opts.Forward != nil {
		raw = maxForwarded
	}
	done, err := r.reading(req)
	if err != nil {
		r.abort(c)
	}
	content, err := readBody(req.Body, req.Header.Get("Content-Encoding"), raw)
	done()
	record.setBody(content)
	if err != nil {
		record.Problem = fmt.Sprintf("%s: the tool's request ended early: %v", record, err)
		r.records.Add(record)
		r.abort(c)
	}
	mock, n := r.match(record)
	if mock >= 0 {
		answers := r.opts.Mocks[mock].Answers
		answer := &answers[min(n, len(answers)-1)]
		if why := unsupported(req); why != "" && agrees(answer) {
			r.refuseProtocol(w, record, why, fmt.Sprintf("%s: %s; %s can only refuse it, with a status from 300 on", record, why, record.Mock))
			return
		}
		r.answer(w, req, c, record, answer)
		return
	}
	if why := unsupported(req); why != "" {
		r.refuseProtocol(w, record, why, record.Problem+"; "+why)
		return
	}
	if r.opts.Forward != nil {
		r.forward(w, req, c, record, content)
		return
	}
	r.abort(c)
}

// reading waits until there is room to read another body, so that the number of bodies being read is bounded. The caller
// calls done after the body has been read.
func (r *Responder) reading(req *http.Request) (done func(), err error) {
	if req.Body == nil || req.Body == http.NoBody {
		return func() {}, nil
	}
	select {
	case r.bodies <- struct{}{}:
		return func() { <-r.bodies }, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-r.connections.Ending():
		return nil, net.ErrClosed
	}
}

// unsupported says which protocol other than HTTP a request asks for; it is "" if the request asks for none. A server may
// ignore an Upgrade (RFC 9110 section 7.8). Clients that offer HTTP/2 or TLS continue without it, and others can't.
func unsupported(req *http.Request) string {
	protocol := strings.ToLower(req.Header.Get("Upgrade"))
	switch {
	case req.Method == http.MethodConnect:
		return "the tool uses a proxy (CONNECT), and mocks are not a proxy; leave the proxy's variables unset"
	case protocol == "websocket":
		return "the tool asks for a websocket, which mocks don't speak"
	case protocol == "" || !asksToUpgrade(req.Header) || strings.HasPrefix(protocol, "h2c") || strings.HasPrefix(protocol, "tls/"):
		return ""
	}
	return fmt.Sprintf("the tool asks for another protocol, %q, which mocks don't speak", brief(req.Header.Get("Upgrade"), maxMethod))
}

// asksToUpgrade reports whether the header's Upgrade takes effect: only if Connection names it.
func asksToUpgrade(h http.Header) bool {
	for option := range strings.SplitSeq(strings.Join(h.Values("Connection"), ","), ",") {
		if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
			return true
		}
	}
	return false
}

// agrees reports whether a client that gets this answer would continue in the protocol that it asked for.
func agrees(a *suite.HTTPAnswer) bool {
	return !a.Reset && !a.Timeout && a.Status < http.StatusMultipleChoices
}

// refuseProtocol answers with status 501 instead of a reset, so that the client doesn't try again.
func (r *Responder) refuseProtocol(w http.ResponseWriter, record *Request, why, problem string) {
	r.records.Change(func() { record.Problem, record.Status = problem, http.StatusNotImplemented })
	http.Error(w, "mayfly: "+why, http.StatusNotImplemented)
}

// abort resets the connection and ends the handler with a panic.
func (r *Responder) abort(c *connection) {
	c.reset()
	panic(http.ErrAbortHandler)
}

// match finds the mock of a request, counts its use and records the request. mock is the index of the mock, or -1, and n
// is the number of requests that the mock answered earlier.
func (r *Responder) match(record *Request) (mock, n int) {
	return r.records.Match(record, func(used []int) int {
		v := Match(r.opts.Mocks, used, record)
		if v.Mock >= 0 {
			record.Mock = r.opts.Mocks[v.Mock].Label
		} else {
			record.Problem = v.Problem(r.opts.Mocks, record)
		}
		return v.Mock
	})
}
