package stall_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/stall"
)

var errStalled = errors.New("stalled")

const after = time.Second

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// slowly is a source that needs its time.
type slowly struct{ left int }

func (s *slowly) Read(p []byte) (int, error) {
	if s.left--; s.left < 0 {
		return 0, io.EOF
	}
	time.Sleep(after / 4)
	return copy(p, "x"), nil
}

// TestTransport has peers that stop in the middle, and others that are slow, over HTTP/1.1 and HTTP/2.
func TestTransport(t *testing.T) {
	none := func() io.Reader { return nil }
	answer := func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
	}
	for name, c := range map[string]struct {
		body   func() io.Reader
		serve  func(w http.ResponseWriter, r *http.Request, leave <-chan struct{})
		pause  time.Duration // of the reader
		stalls bool
	}{
		"it stops in its answer": {none, func(w http.ResponseWriter, _ *http.Request, leave <-chan struct{}) { answer(w); <-leave }, 0, true},
		"it reads no more":       {func() io.Reader { return zeros{} }, func(_ http.ResponseWriter, _ *http.Request, leave <-chan struct{}) { <-leave }, 0, true},
		"it answers at once": {func() io.Reader { return strings.NewReader("x") }, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
			_, _ = io.Copy(w, r.Body)
		}, 0, false},
		"its answer has pauses": {none, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			for range 8 {
				answer(w)
				time.Sleep(after / 4)
			}
		}, 0, false},
		"it thinks before it answers": {func() io.Reader { return strings.NewReader("x") }, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(3 * after)
		}, 0, false},
		"the source is slow": {func() io.Reader { return &slowly{8} }, func(_ http.ResponseWriter, r *http.Request, _ <-chan struct{}) { _, _ = io.Copy(io.Discard, r.Body) }, 0, false},
		"the reader is slow": {none, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			answer(w)
			_, _ = io.WriteString(w, "end")
		}, 3 * after, false},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				t.Parallel() // they only wait
				leave := make(chan struct{})
				front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, leave) }))
				front.EnableHTTP2 = protocol == "HTTP/2.0"
				front.StartTLS()
				t.Cleanup(front.Close)
				t.Cleanup(func() { close(leave) })
				client := &http.Client{Transport: &stall.Transport{Base: front.Client().Transport, After: after, Err: errStalled}}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL, c.body())
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err == nil {
					if resp.Proto != protocol {
						t.Errorf("it speaks %s", resp.Proto)
					}
					time.Sleep(c.pause)
					_, err = io.Copy(io.Discard, resp.Body)
					err = errors.Join(err, resp.Body.Close())
				}
				if c.stalls != errors.Is(err, errStalled) || !c.stalls && err != nil {
					t.Errorf("got %v, and it stalls: %v", err, c.stalls)
				}
			})
		}
	}
}
