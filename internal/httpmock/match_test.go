package httpmock

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

func request(method, url string, change ...func(*Request)) *Request {
	scheme, rest, _ := strings.Cut(url, "://")
	host, path, _ := strings.Cut(rest, "/")
	path, query, _ := strings.Cut("/"+path, "?")
	r := &Request{Method: method, URL: url, Host: host, hosts: []string{host}, Port: defaultPort(scheme), Path: path, escaped: path, scheme: scheme, Query: map[string][]string{}, Headers: map[string][]string{}}
	if name, value, ok := strings.Cut(query, "="); ok {
		r.Query[name] = []string{value}
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func header(name, value string) func(*Request) {
	return func(r *Request) { r.Headers[name] = append(r.Headers[name], value) }
}

func content(s string) func(*Request) { return func(r *Request) { r.Body = s } }

func TestMatch(t *testing.T) {
	all := mocks(t, `
  - {method: GET, path: /health}
  - {url: "https://api.example.com/v1/users"}
  - {url: "https://api.example.com/v1/users/*", query: {page: "2", all: null}}
  - {host: "*.example.com", port: 8443, path: {regex: "/v[12]/x"}}
  - {method: POST, path: /post, request: {headers: {authorization: "Bearer *"}, json: {a: {b: 1}, list: [{x: y}]}}}
  - {method: POST, path: /text, request: {body: {contains: hello}}}
  - {path: /twice, times: 2}
`)
	used := make([]int, len(all))
	used[6] = 2
	bearer := header("Authorization", "Bearer x")
	for _, c := range []struct {
		req  *Request
		want int
		text string // what the problem says of the nearest mock
	}{
		{request("GET", "http://localhost/health"), 0, ""},
		{request("GET", "http://localhost/health?x=1"), 0, ""},
		{request("POST", "http://localhost/health"), -1, "http[0], differs in method: GET"},
		{request("GET", "https://api.example.com/v1/users"), 1, ""},
		{request("GET", "https://api.example.com/v2/users"), -1, "http[1], differs in path: /v1/users"},
		{request("GET", "http://api.example.com/v1/users"), -1, "http[1], differs in scheme: https and port: 443"},
		{request("GET", "https://www.example.com/v1/users"), -1, "http[1], differs in host: api.example.com"},
		{request("GET", "https://api.example.com/v1/users/7?page=2"), -1, "http[2], differs in query all: any"},
		{request("GET", "https://api.example.com/v1/users/7?page=2", func(r *Request) { r.Query["all"] = []string{""} }), 2, ""},
		{request("GET", "https://a.example.com/v2/x", func(r *Request) { r.Port = 8443 }), 3, ""},
		{request("GET", "https://a.example.com/v3/x", func(r *Request) { r.Port = 8443 }), -1, `http[3], differs in path: regex "/v[12]/x"`},
		{request("POST", "http://h/post", bearer, content(`{"a":{"b":1.0,"c":2},"list":[{"x":"y","z":0}]}`)), 4, ""},
		{request("POST", "http://h/post", bearer, content(`{"a":{"b":2},"list":[{"x":"y"}]}`)), -1, "http[4], differs in json: .a.b is 2, not 1"},
		{request("POST", "http://h/post", bearer, content(`{"a":{"b":1},"list":[]}`)), -1, "http[4], differs in json: .list has 0 items, not 1"},
		{request("POST", "http://h/post", bearer, content(`{"list":[]}`)), -1, `http[4], differs in json: the body has no "a"`},
		{request("POST", "http://h/post", bearer, content(`{} x`)), -1, "http[4], differs in json: the body has something after its JSON"},
		{request("POST", "http://h/post", content(`x`)), -1, "http[4], differs in header authorization: Bearer * and json: the body isn't JSON"},
		{request("POST", "http://h/text", content(`say hello`)), 5, ""},
		{request("POST", "http://h/text", content(`say`)), -1, `http[5], differs in body: it does not contain "hello"; it came as "say"`},
		{request("GET", "http://h/twice"), -1, "http[6], differs in its times: it has answered 2 requests"},
	} {
		v := Match(all, used, c.req)
		if v.Mock != c.want {
			t.Errorf("%s is answered by mock %d, want %d", c.req, v.Mock, c.want)
		}
		if want := c.req.String() + " has no mock; the nearest, " + c.text; c.want < 0 && v.Problem(all, c.req) != want {
			t.Errorf("got  %s\nwant %s", v.Problem(all, c.req), want)
		}
	}
	if got := Match(nil, nil, request("GET", "http://h/")).Problem(nil, request("GET", "http://h/")); got != "GET http://h/ has no mock; there are none" {
		t.Errorf("without mocks: %s", got)
	}
	// Any of the host's names may match: that of the Host header, of TLS, or of the lookup.
	if v := Match(all, used, request("GET", "https://10.0.0.1/v1/users", func(r *Request) { r.hosts = append(r.hosts, "api.example.com") })); v.Mock != 1 {
		t.Errorf("the name that was looked up doesn't match: %+v", v)
	}
}

func TestLoopback(t *testing.T) {
	every := []network.PortRange{{First: 1, Last: 65535}}
	for text, want := range map[string][]network.PortRange{
		"  - {path: /x}": every,
		"  - {path: /x, port: 8080}\n  - {url: 'http://localhost:9090/'}\n  - {host: 127.0.0.5, port: 53}\n  - {port: 8080}": {network.Port(8080), network.Port(9090), network.Port(53)},
		"  - {url: 'https://api.example.com/'}": nil,
		"  - {url: 'http://[::1]:8080/'}":       {network.Port(8080)},
		"  - {host: '*.example.com', port: 80}": nil,
		"  - {port: 80}\n  - {host: localhost}": every,
	} {
		if got := Loopback(mocks(t, text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestPathsAndQueries checks that an encoded slash in a URL is part of a name, and that all values of a repeated parameter
// are compared.
func TestPathsAndQueries(t *testing.T) {
	for _, c := range []struct {
		mock, url string
		want      bool
	}{
		{`url: "https://h.example/p/team%2Fapp"`, "/p/team%2Fapp", true},
		{`url: "https://h.example/p/team%2fapp"`, "/p/team%2Fapp", true},
		{`url: "https://h.example/p/team/app"`, "/p/team%2Fapp", false},
		{`url: "https://h.example/p/team%2Fapp"`, "/p/team/app", false},
		{`url: "https://h.example/a%20b"`, "/a%20b", true},
		{`path: /p/team%2Fapp`, "/p/team%2Fapp", true},
		{`path: /p/team/app`, "/p/team%2Fapp", true},
		{`path: /p/team/app`, "/p/team%252Fapp", false},
		{`url: "https://h.example/p/team%2Fapp"`, "/p/team%252Fapp", false},
		{`url: "https://h.example/p/team%252Fapp"`, "/p/team%252Fapp", true},
		{`url: "https://h.example/p/team%252Fapp"`, "/p/team%2Fapp", false},
		{`url: "https://h.example/5%25/x"`, "/5%25/x", true},
		{`path: /p/team%2Fapp`, "/p/team%252Fapp", false},
		{`path: /p/team%252Fapp`, "/p/team%252Fapp", true},
		{`path: /p/team%252Fapp`, "/p/team%2Fapp", false},
		{`path: "/a b/team%2Fapp"`, "/a%20b/team%2Fapp", true},
		{`path: /p/team%2Fapp`, "/p/team/app", false},
		{`path: "/rates/5%/x"`, "/rates/5%25/x", true},
		{`path: /a b`, "/a%20b", true},
		{`path: /a%20b`, "/a%20b", true},
		{`url: "https://h.example/x?q=%2A"`, "/x?q=%2A", true},
		{`url: "https://h.example/x?q=%2A"`, "/x?q=zz", false},
		{`url: "https://h.example/x?q=%2A&l=1&l=%2A"`, "/x?q=*&l=*&l=1", true},
		{`url: "https://h.example/x?q=a%2A*"`, "/x?q=a%2Ab%20c", true},
		{`url: "https://h.example/x?q=a%2A*"`, "/x?q=abc", false},
		{`url: "https://h.example/x%2Ay"`, "/x%2Ay", true},
		{`url: "https://h.example/x%2Ay"`, "/xqqy", false},
		{`url: "https://h.example/a%20b/*/c"`, "/a%20b/x%2Fy/c", true},
		{`path: "/x?q=%2A"`, "/x?q=zz", false},
		{`url: "https://h.example/café/*"`, "/caf%C3%A9/x", true},
		{`url: "https://h.example/a b/*?q=1"`, "/a%20b/x?q=1", true},
		{`url: "https://h.example/{id}/%2A"`, "/%7Bid%7D/x", false},
		{`url: "https://h.example?q=/*"`, "/?q=/x", true},
		{`url: "https://h.example/x?l=b&l=a"`, "/x?l=a&l=b", true},
		{`url: "https://h.example/x?l=a&l=b"`, "/x?l=a", false},
		{`url: "https://h.example/x?l=a&l=a"`, "/x?l=a&l=b", false},
		{`path: "/x?l=a&l=b"`, "/x?l=b&l=a&m=c", true},
		{`url: "https://h.example/x?p[]=1&p[]=2"`, "/x?p[]=1&p[]=2", true},
		{`url: "https://h.example/x?q=a;b"`, "/x?q=a;b", true},
		{`{path: /x, query: {q: "a;b"}}`, "/x?q=a;b&r=1", true},
		{`{path: /x, query: {l: [b, a]}}`, "/x?l=a&l=b", true},
		{`{path: /x, query: {l: [a, b]}}`, "/x?l=a&l=b&l=c", false},
		{`{path: /x, query: {l: [a, a]}}`, "/x?l=a&l=b", false},
		{`{path: /x, query: {l: ["*", {contains: a}]}}`, "/x?l=a&l=b", true},
		{`{path: /x, query: {l: [{contains: a}, "*", a]}}`, "/x?l=b&l=ab&l=a", true},
		{`{path: /x, query: {l: [{contains: a}, a, a]}}`, "/x?l=b&l=ab&l=a", false},
		{`{path: /x, query: {l: {absent: true}}}`, "/x?m=1", true},
		{`{path: /x, query: {l: {absent: true}}}`, "/x?l=1", false},
		{`{path: /x, query: {l: {absent: true}}}`, "/x?l", false},
		{`{path: /x, query: {l: {absent: false}}}`, "/x?l", true},
		{`{path: /x, query: {l: {absent: false}}}`, "/x", false},
		{`{path: /x, request: {headers: {X-A: {absent: true}, Host: h.example}}}`, "/x", true},
	} {
		mock := c.mock
		if !strings.HasPrefix(mock, "{") {
			mock = "{" + mock + "}"
		}
		all := mocks(t, "\n  - "+mock+"\n")
		u, err := url.Parse("https://h.example" + c.url)
		if err != nil {
			t.Fatal(err)
		}
		r := describe(&http.Request{Method: http.MethodGet, URL: u, Host: "h.example"}, &connection{tls: true, about: engine.MockedConnection{Port: 443}})
		if got := Match(all, make([]int, 1), r).Mock == 0; got != c.want {
			t.Errorf("%s, asked for %s: match %v, want %v", c.mock, c.url, got, c.want)
		}
	}
}

func TestForms(t *testing.T) {
	all := mocks(t, `
  - {method: POST, path: /token, request: {body: "grant_type=x&scope=a b"}}
`)
	form := header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for body, want := range map[string]bool{
		"grant_type=x&scope=a b":     true,
		"scope=a+b&grant_type=x":     true,
		"scope=a%20b&grant_type=x":   true,
		"scope=b&grant_type=x":       false,
		"scope=a+b":                  false,
		"scope=a+b&grant_type=x&y=1": false,
	} {
		r := request("POST", "http://h/token", form, content(body))
		v := Match(all, []int{0}, r)
		if (v.Mock == 0) != want {
			t.Errorf("%s: %+v", body, v)
		}
		if !want && !strings.Contains(v.Problem(all, r), "it came as "+strconv.Quote(body)) {
			t.Error(v.Problem(all, r))
		}
	}
	if v := Match(all, []int{0}, request("POST", "http://h/token", content("scope=a b&grant_type=x"))); v.Mock == 0 {
		t.Error("a text that isn't a form is treated as one")
	}
}

// TestInternationalHosts checks that a host matches in the letters of its script and in those of DNS, in any case and
// composition.
func TestInternationalHosts(t *testing.T) {
	for _, c := range []struct {
		mock, host string
		want       bool
	}{
		{`host: bücher.example`, "xn--bcher-kva.example", true},
		{`host: BÜCHER.example`, "xn--bcher-kva.example", true},
		{"host: \"bu\\u0308cher.example\"", "xn--bcher-kva.example", true},
		{`host: xn--bcher-kva.example`, "xn--bcher-kva.example", true},
		{`url: "https://bücher.example/"`, "xn--bcher-kva.example", true},
		{`url: "https://xn--bcher-kva.example/"`, "xn--bcher-kva.example", true},
		{`host: "*.bücher.example"`, "www.xn--bcher-kva.example", true},
		{`host: "bü*.example"`, "xn--bcher-kva.example", true},
		{`host: {equals: [a.example, Bücher.example]}`, "XN--BCHER-KVA.example", true},
		{`host: {contains: büch}`, "xn--bcher-kva.example", true},
		{`host: 例え.テスト`, "xn--r8jz45g.xn--zckzah", true},
		{`host: bucher.example`, "xn--bcher-kva.example", false},
		{`host: bücher.example`, "xn--a.example", false}, // not valid
	} {
		all := mocks(t, "\n  - {"+c.mock+"}\n")
		r := describe(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: c.host}, &connection{tls: true, about: engine.MockedConnection{Port: 443}})
		if got := Match(all, []int{0}, r).Mock == 0; got != c.want {
			t.Errorf("%s, asked for %s: match %v, want %v", c.mock, c.host, got, c.want)
		}
	}
}

// TestShownAsItCame checks that a report has what came, decoded, and also as it was sent if that is different.
func TestShownAsItCame(t *testing.T) {
	for _, c := range []struct{ mock, url, want string }{
		{`{path: /a/x}`, "https://h.example/a/b%2Fc%20d", `path: /a/x; it came as "/a/b/c d", sent as /a/b%2Fc%20d`},
		{`{path: /a/x}`, "https://h.example/a/b", `path: /a/x`},
		{`{query: {q: x}}`, "https://h.example/?q=a%26b+c", `query q: x; it came as "a&b c", sent as a%26b+c`},
		{`{query: {q: x}}`, "https://h.example/?q=a&r=1&%71=b", `query q: x; it came as "a" and "b"`},
		{`{query: {q: x}}`, "https://h.example/?r=1", `query q: x`},
		{`{query: {q: ""}}`, "https://h.example/?r=1", `query q: ""`},
		{`{query: {q: {absent: true}}}`, "https://h.example/?q=1", `query q: absent; it came as "1"`},
		{`{query: {q: [x, "y*"]}}`, "https://h.example/?q=1", `query q: x and y*; it came as "1"`},
		{`{query: {q: x}}`, "https://h.example/?q=" + strings.Repeat("l", 2000), `query q: x`},
		{`{request: {headers: {X-A: b}}}`, "https://h.example/", `header X-A: b; it came as "a"`},
		{`{host: a.example}`, "https://xn--bcher-kva.example/", `host: a.example; it came as "bücher.example", sent as xn--bcher-kva.example`},
		{`{host: bücher.example}`, "https://h.example/", `host: bücher.example`},
	} {
		all := mocks(t, "\n  - "+c.mock+"\n")
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		r := describe(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{"X-A": {"a"}}}, &connection{tls: true, about: engine.MockedConnection{Port: 443}})
		if got := strings.Join(Match(all, []int{0}, r).Differences, " and "); got != c.want {
			t.Errorf("%s: got %s\nwant %s", c.url, got, c.want)
		}
	}
}

// TestShownIsBounded checks that a message shows a text whole or not at all, since masking doesn't find a part of a secret.
func TestShownIsBounded(t *testing.T) {
	long := func(n int) string { return strings.Repeat("l", n) }
	for _, c := range []struct{ mock, body, want string }{
		{`{request: {body: x}}`, "a\n\x1b", `body: it is not "x"; it came as "a\n\x1b"`},
		{`{request: {body: x}}`, long(1000), `body: it is not "x"; it came as "` + long(1000) + `"`},
		{`{request: {body: x}}`, long(1001), `body: it is not "x"; it came with 1001 bytes`},
		{`{request: {body: {contains: x}}}`, long(1001), `body: it does not contain "x"; it came with 1001 bytes`},
		{`{request: {json: x}}`, `"` + long(198) + `"`, `json: the body is "` + long(198) + `", not "x"`},
		{`{request: {json: x}}`, `"` + long(199) + `"`, `json: the body is (201 bytes), not "x"`},
	} {
		r := request("POST", "http://h.example/", content(c.body))
		if got := strings.Join(Match(mocks(t, "\n  - "+c.mock+"\n"), []int{0}, r).Differences, " and "); got != c.want {
			t.Errorf("%d bytes for %s: got %s\nwant %s", len(c.body), c.mock, got, c.want)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"http://h.example/" + long(483), "GET http://h.example/" + long(483)},
		{"http://h.example/" + long(484), "GET http://h.example/(485 bytes)"},
		{"https://h.example:8443?q=" + long(500), "GET https://h.example:8443/(503 bytes)"},
		{"http://" + long(500) + "/", "GET (508 bytes)"},
	} {
		if got := (&Request{Method: "GET", URL: c.url}).String(); got != c.want {
			t.Errorf("%s is %s, want %s", c.url, got, c.want)
		}
	}
}
