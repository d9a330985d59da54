package httpmock

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// Request is the record of one request of the tool.
type Request struct {
	// Seq counts requests from 1, in the order in which they were answered.
	Seq    int       `json:"seq"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	// URL is the whole address. Its scheme is http or https, as the connection has TLS or not.
	URL string `json:"url"`
	// Host is the request's host without a port. Port is the port that the tool connected to.
	Host    string              `json:"host"`
	Port    uint16              `json:"port"`
	Path    string              `json:"path"` // decoded
	Query   map[string][]string `json:"query"`
	Headers map[string][]string `json:"headers"`
	// Body has the first 1 MiB of the body, decoded if it came compressed with gzip. If that isn't UTF-8, BodyBase64 has it
	// instead.
	Body       string `json:"body"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	// BodySize is the size of the whole body as it was sent, in bytes. BodyTruncated says that Body is incomplete.
	BodySize      int64  `json:"body_size"`
	BodyTruncated bool   `json:"body_truncated,omitempty"`
	Protocol      string `json:"protocol"`
	// Mock is the label of the mock that answered, and Status the status of its answer, or 0 if it sent none.
	Mock   string `json:"mock,omitempty"`
	Status int    `json:"status,omitempty"`
	// Problem says why nothing answered; it is empty if a mock did.
	Problem string `json:"problem,omitempty"`

	scheme  string
	escaped string   // the path as it was sent
	hosts   []string // every name of the host: of the Host header, of TLS, of the lookup, and its address
}

// Refusal is a connection on which no request came.
type Refusal struct {
	Host    string `json:"host"`
	Port    uint16 `json:"port"`
	Problem string `json:"problem"`
}

// String returns the request's method and address. Parts that are too long for a message are replaced by their size.
func (r *Request) String() string {
	return brief(r.Method, maxMethod) + " " + briefURL(r.URL)
}

// Number sets Seq; with the next three methods a request is a responder.Record.
func (r *Request) Number(n int) { r.Seq = n }

// Answered reports whether a mock or the forwarded server has answered.
func (r *Request) Answered() bool { return r.Problem == "" }

// Weight returns about how many bytes a record takes in a JSON report.
func (r *Request) Weight() int {
	size := len(r.Method) + suite.JSONLength(r.URL) + suite.JSONLength(r.Host) + suite.JSONLength(r.Path) + len(r.escaped) +
		suite.JSONLength(r.Body) + base64.StdEncoding.EncodedLen(len(r.BodyBase64)) + suite.JSONLength(r.Problem)
	for _, m := range []map[string][]string{r.Query, r.Headers} {
		for name, values := range m {
			size += suite.JSONLength(name)
			for _, v := range values {
				size += suite.JSONLength(v) + 16 // the string itself
			}
		}
	}
	return size
}

// Shorten removes all of a record except what tells it from others. It copies what stays, so that nothing holds the rest in
// memory.
func (r *Request) Shorten() {
	short := func(s string) string { return strings.Clone(brief(s, maxShortened)) }
	r.Method, r.URL, r.Host, r.Path, r.escaped = short(r.Method), strings.Clone(briefURL(r.URL)), short(r.Host), short(r.Path), short(r.escaped)
	r.Protocol = short(r.Protocol) // in net/http it is a part of the request's first line, and holds all of it
	for i, h := range r.hosts {
		r.hosts[i] = short(h)
	}
	r.Headers, r.Query, r.Body, r.BodyBase64, r.BodyTruncated = nil, nil, "", nil, true
}

// brief returns s, or its size if it is longer than most bytes. It never returns a part of s, since masking doesn't find a
// part of a secret.
func brief(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("(%d bytes)", len(s))
}

// briefURL returns an address, or if it is too long only the part before its path, with the size of the rest.
func briefURL(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if end := strings.IndexAny(rest, "/?"); len(s) > maxShortened && end >= 0 && end < maxShortened/2 {
		return scheme + "://" + rest[:end] + "/" + brief(rest[end:], 0)
	}
	return brief(s, maxShortened)
}

// Content returns the part of the body that was kept.
func (r *Request) Content() string {
	if r.BodyBase64 != nil {
		return string(r.BodyBase64)
	}
	return r.Body
}

func (r *Request) setBody(b *body) {
	r.BodySize, r.BodyTruncated = b.size, b.truncated
	if utf8.Valid(b.kept) {
		r.Body = string(b.kept)
	} else {
		r.BodyBase64 = b.kept
	}
}

// describe returns the record of a request without its body.
func describe(req *http.Request, c *connection) *Request {
	r := &Request{
		Time: time.Now().UTC(), Method: req.Method, Port: c.about.Port, Protocol: req.Proto,
		Path: req.URL.Path, Query: suite.ParseQuery(req.URL.RawQuery), Headers: req.Header.Clone(), scheme: "http",
	}
	if c.tls {
		r.scheme = "https"
	}
	if r.Path == "" {
		r.Path = "/"
	}
	r.escaped = cmp.Or(req.URL.EscapedPath(), "/")
	add := func(name string) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		for _, form := range []string{name, suite.UnicodeHost(name)} {
			if name != "" && !slices.Contains(r.hosts, form) {
				r.hosts = append(r.hosts, form)
			}
		}
	}
	add(hostOf(req.Host))
	add(c.serverName)
	for _, name := range c.about.Names {
		add(name)
	}
	add(c.about.Address)
	if c.about.Loopback {
		add("localhost")
	}
	if len(r.hosts) > 0 {
		r.Host = r.hosts[0]
	}
	r.URL = r.scheme + "://" + r.authority() + req.URL.EscapedPath()
	if req.URL.EscapedPath() == "" {
		r.URL += "/"
	}
	if req.URL.RawQuery != "" {
		r.URL += "?" + req.URL.RawQuery
	}
	return r
}

// hostOf returns the host of a Host header, without its port.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// authority returns the host, and the port unless it is the scheme's default.
func (r *Request) authority() string {
	if r.Port == defaultPort(r.scheme) {
		if a, err := netip.ParseAddr(r.Host); err == nil && a.Is6() {
			return "[" + r.Host + "]"
		}
		return r.Host
	}
	return net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port)))
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}
