package httpmock

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Limits of a recording: 16 MiB per body, and 256 MiB of bodies in all.
const (
	maxForwarded  = 16 << 20
	maxExchanged  = 256 << 20
	forwardedMock = "recorded"
)

// Forward passes the requests that no mock answers on to the real network, and records the answers. Through it a tool
// reaches nothing that it couldn't reach itself: its own policy decides on each address that Forward dials.
type Forward struct {
	policy    network.Policy
	transport *http.Transport
	lookup    func(ctx context.Context, host string) ([]netip.Addr, error)

	mu        sync.Mutex
	exchanges []*Exchange
	size      int
}

// Exchange is a request that was passed on, and its answer.
type Exchange struct {
	Method, URL string
	Status      int
	Headers     http.Header
	// Body is decoded if it came compressed with gzip. Truncated says that it is incomplete.
	Body      []byte
	Truncated bool
}

// NewForward returns a Forward that passes on what the policy allows. It trusts roots in TLS, or this machine's own roots
// if roots is nil.
func NewForward(policy network.Policy, roots *x509.CertPool) *Forward {
	f := &Forward{policy: policy, lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	f.transport = &http.Transport{
		DialContext:           f.dial,
		DisableKeepAlives:     true, // a connection is for one name and address
		DisableCompression:    true, // the tool gets what it asked for
		ForceAttemptHTTP2:     true, // a custom DialContext turns it off otherwise
		TLSHandshakeTimeout:   handshakeTimeout,
		ExpectContinueTimeout: time.Second,
	}
	if roots != nil {
		f.transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return f
}

// Exchanges returns the requests that were passed on so far, in order.
func (f *Forward) Exchanges() []Exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Exchange, len(f.exchanges))
	for i, e := range f.exchanges {
		out[i] = *e
	}
	return out
}

func (f *Forward) close() { f.transport.CloseIdleConnections() }

// targetKey is the key, in the context of a request that is passed on, of what the tool dialled.
type targetKey struct{}

// dial connects to what the tool dialled, at the first of its addresses that the tool's policy allows and that answers.
func (f *Forward) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	target, _ := ctx.Value(targetKey{}).(engine.MockedConnection)
	d := network.Destination{Names: target.Names, Port: target.Port, Protocol: network.TCP}
	addresses, err := f.addresses(ctx, &d, target.Address)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, a := range addresses {
		d.Address = a
		d.Local = isOwn(a)
		if verdict := f.policy.Decide(d); !verdict.Allowed {
			failed = append(failed, errors.New(verdict.Reason))
			continue
		}
		conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", netip.AddrPortFrom(a, target.Port).String())
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// addresses returns the addresses of what the tool dialled. A name must be looked up: the address that the tool got for it
// is a stand-in that leads nowhere.
func (f *Forward) addresses(ctx context.Context, d *network.Destination, address string) ([]netip.Addr, error) {
	if len(d.Names) == 0 {
		a, err := netip.ParseAddr(address)
		return []netip.Addr{a.Unmap()}, err
	}
	if d.Names[0] == network.HostName {
		d.Host = true
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	addresses, err := f.lookup(ctx, d.Names[0])
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, err
}

// isOwn reports whether an address belongs to this machine.
func isOwn(a netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // unknown, so it must not be dialled
	}
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

// forward passes a request on to the real network, and the answer back to the tool.
func (r *Responder) forward(w http.ResponseWriter, req *http.Request, c *connection, record *Request, content *body) {
	if err := r.pass(w, req, c, record, content); err != nil {
		r.records.Change(func() { record.Status, record.Problem = 0, fmt.Sprintf("%s can't be recorded: %v", record, err) })
		r.abort(c)
	}
}

func (r *Responder) pass(w http.ResponseWriter, req *http.Request, c *connection, record *Request, content *body) error {
	f := r.opts.Forward
	if c.about.Loopback {
		return fmt.Errorf("nothing listens at port %d of the sandbox's own loopback", c.about.Port)
	}
	if int64(len(content.raw)) != content.size {
		return fmt.Errorf("its body is larger than %d bytes", maxForwarded)
	}
	ctx, cancel := context.WithCancel(context.WithValue(req.Context(), targetKey{}, c.about))
	defer cancel()
	go func() {
		select {
		case <-r.connections.Ending():
			cancel()
		case <-ctx.Done():
		}
	}()
	u := &url.URL{Scheme: record.scheme, Host: record.authority(), Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	out, err := http.NewRequestWithContext(ctx, req.Method, u.String(), bytes.NewReader(content.raw))
	if err != nil {
		return err
	}
	out.Host = req.Host
	out.Header = passedOn(req.Header)
	answer, err := f.transport.RoundTrip(out)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	e := &Exchange{Method: record.Method, URL: record.URL, Status: answer.StatusCode, Headers: answer.Header.Clone()}
	f.add(e)
	r.records.Change(func() { record.Mock, record.Status, record.Problem = forwardedMock, answer.StatusCode, "" })
	for name, values := range passedOn(answer.Header) {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	kept := &bounded{most: f.room()}
	_, err = io.Copy(w, io.TeeReader(answer.Body, kept))
	kept.more = kept.more || err != nil // an answer that was cut off is incomplete
	f.finish(e, kept)
	return err
}

// bounded keeps the first most bytes that are written to it. more says that there were others.
type bounded struct {
	data []byte
	most int
	more bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.most-len(b.data))
	b.data = append(b.data, p[:n]...)
	b.more = b.more || n < len(p)
	return len(p), nil
}

func (f *Forward) add(e *Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.exchanges) < maxRequests {
		f.exchanges = append(f.exchanges, e)
	}
}

// room returns how many bytes of an answer may be kept, and reserves them until finish.
func (f *Forward) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := max(min(maxForwarded, maxExchanged-f.size), 0)
	f.size += n
	return n
}

func (f *Forward) finish(e *Exchange, kept *bounded) {
	decoded := &body{kept: kept.data, truncated: kept.more}
	if strings.EqualFold(e.Headers.Get("Content-Encoding"), "gzip") && decoded.gunzip(kept.data, maxForwarded) {
		e.Headers.Del("Content-Encoding")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Body, e.Truncated = decoded.kept, decoded.truncated
	f.size += len(e.Body) - kept.most
}

// passedOn returns the headers to pass on: all except those of the connection (RFC 9110 section 7.6.1).
func passedOn(h http.Header) http.Header {
	out := h.Clone()
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Http2-Settings", "Expect"} {
		out.Del(name)
	}
	return out
}
