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

// Request is one request of the tool, as it is recorded.
type Request struct {
	// Seq counts requests from 1, in the order in which they were answered.
	Seq    int       `json:"seq"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	// URL is the whole address, its scheme being the connection's.
	URL string `json:"url"`
	// Host is the request's, without a port; Port is the one that the tool connected to.
	Host    string              `json:"host"`
	Port    uint16              `json:"port"`
	Path    string              `json:"path"` // decoded
	Query   map[string][]string `json:"query"`
	Headers map[string][]string `json:"headers"`
	// Body is the body's beginning, decoded where it came compressed: as text, or base64 where it isn't UTF-8.
	Body       string `json:"body"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	// BodySize is the true size, as it was sent; BodyTruncated says that Body isn't all.
	BodySize      int64  `json:"body_size"`
	BodyTruncated bool   `json:"body_truncated,omitempty"`
	Protocol      string `json:"protocol"`
	// Mock is the label of the mock that answered, and Status what it said; 0 where it said nothing.
	Mock   string `json:"mock,omitempty"`
	Status int    `json:"status,omitempty"`
	// Problem says why nothing answered; empty where something did.
	Problem string `json:"problem,omitempty"`

	scheme  string
	escaped string   // the path as it came
	hosts   []string // every name that the host goes by
}

// Refusal is a connection on which no request came.
type Refusal struct {
	Host    string `json:"host"`
	Port    uint16 `json:"port"`
	Problem string `json:"problem"`
}

// String is the request's method and address, as much of them as a message has room for.
func (r *Request) String() string {
	return brief(r.Method, maxMethod) + " " + briefURL(r.URL)
}

// weight is how much of a report a record takes.
func (r *Request) weight() int {
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

// shorten leaves of a record what tells it from others, and nothing that holds the rest in memory.
func (r *Request) shorten() {
	short := func(s string) string { return strings.Clone(brief(s, maxShortened)) }
	r.Method, r.URL, r.Host, r.Path, r.escaped = short(r.Method), strings.Clone(briefURL(r.URL)), short(r.Host), short(r.Path), short(r.escaped)
	r.Protocol = short(r.Protocol) // net/http has it as a part of the request's first line
	for i, h := range r.hosts {
		r.hosts[i] = short(h)
	}
	r.Headers, r.Query, r.Body, r.BodyBase64, r.BodyTruncated = nil, nil, "", nil, true
}

// brief is a text, or its size where it is longer than most: never a part of it, since a part of a secret isn't masked.
func brief(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("(%d bytes)", len(s))
}

// briefURL is an address, or what is before its path with the size of the rest.
func briefURL(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if end := strings.IndexAny(rest, "/?"); len(s) > maxShortened && end >= 0 && end < maxShortened/2 {
		return scheme + "://" + rest[:end] + "/" + brief(rest[end:], 0)
	}
	return brief(s, maxShortened)
}

// Content is the body's beginning.
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

// describe makes the record of a request without its body.
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

// hostOf is the host of a Host header, without its port.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// authority is the host, with the port unless it is the scheme's own.
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
