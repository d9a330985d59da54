package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestClientsThatStop has clients stop in the middle of a request, and of an answer: the server ends their connections.
func TestClientsThatStop(t *testing.T) {
	const at, halfOf = "/api/v1", "Content-Length: 100\r\n\r\n{"
	runner := at + "/runner/r/" + strings.Repeat("i", 26)
	for name, request := range map[string]func(r *rig) string{
		"no token": func(*rig) string { return "POST " + at + "/x HTTP/1.1\r\nHost: x\r\n" + halfOf },
		"wrong token": func(*rig) string {
			return "POST " + runner + "/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n" + halfOf
		},
		"report of a runner": func(r *rig) string { return r.request("POST "+runner+"/reports", RoleRunner) + halfOf },
		"artifact": func(r *rig) string {
			return r.request("PUT "+runner+"/contents/sha256:"+strings.Repeat("0", 64), RoleRunner) + halfOf
		},
		"with a key": func(r *rig) string {
			return r.request("POST "+at+"/projects/own/runs", RoleAdmin) + api.KeyHeader + ": k\r\nContent-Type: application/json\r\n" + halfOf
		},
		"content": func(r *rig) string {
			return r.request("PUT "+at+"/projects/own/contents/sha256:"+strings.Repeat("0", 64), RoleAdmin) + halfOf
		},
		"answers that aren't read": func(*rig) string {
			return strings.Repeat("GET "+at+"/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 500)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.deadlines = deadlines{write: 300 * time.Millisecond, read: 300 * time.Millisecond, rest: 300 * time.Millisecond}
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, request(r)); err != nil {
				t.Fatal(err)
			}
			if name == "answers that aren't read" {
				for err == nil {
					time.Sleep(10 * time.Millisecond)
					_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				}
			} else {
				_, err = io.Copy(io.Discard, c)
			}
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // of net.Conn
				t.Error("the connection is open after a minute")
			}
		})
	}
}

// request returns the beginning of a request with a token.
func (r *rig) request(what, role string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n", what, r.tokens[role])
}

// TestSlowClients has clients that take longer than any of the deadlines, and never stop for that long.
func TestSlowClients(t *testing.T) {
	const wait = time.Second
	d := deadlines{write: wait, read: wait, rest: wait}
	s := &Server{deadlines: d}
	text := strings.Repeat("x", 8)
	for name, handle := range map[string]http.HandlerFunc{
		"request": func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(s.body(w, r, 100))
			if err != nil || string(got) != text {
				t.Errorf("the request is %q, %v", got, err)
			}
			w.WriteHeader(http.StatusNoContent)
		},
		"work": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			time.Sleep(2 * wait)
			if r.Context().Err() != nil {
				t.Error("the request was cancelled")
			}
			w.WriteHeader(http.StatusNoContent)
		},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.serve(handle, w, r) }))
				front.EnableHTTP2 = protocol == "HTTP/2.0"
				front.StartTLS()
				t.Cleanup(front.Close)
				for range 2 { // on one connection
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL, &drip{text: text, pause: wait / 4})
					if err != nil {
						t.Fatal(err)
					}
					resp, err := front.Client().Do(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if resp.Proto != protocol || resp.StatusCode != http.StatusNoContent {
						t.Errorf("%s %s", resp.Proto, resp.Status)
					}
				}
			})
		}
	}
}

// drip is a text that comes a byte at a time.
type drip struct {
	text  string
	pause time.Duration
}

func (d *drip) Read(p []byte) (int, error) {
	if d.text == "" {
		return 0, io.EOF
	}
	time.Sleep(d.pause)
	n := copy(p[:1], d.text)
	d.text = d.text[n:]
	return n, nil
}
