package httpmock

import "net/http"

// Forward passes requests on to the real network.
type Forward struct{}

func (f *Forward) close() {}

func (r *Responder) forward(_ http.ResponseWriter, _ *http.Request, c *connection, _ *Request, _ *body) {
	r.abort(c)
}
