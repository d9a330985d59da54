package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/stall"
)

// TestQuietStream checks that a stream of messages ends when the server sends nothing any longer.
func TestQuietStream(t *testing.T) {
	leave := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{\"alive\":true}\n")) // the test sees whether it comes
		_ = http.NewResponseController(w).Flush()
		<-leave
	}))
	defer front.Close()
	defer close(leave)
	c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, got := c.Runner("r", "instance0123456789012"), 0
	if r.quiet != quietTime {
		t.Errorf("it is patient for %s", r.quiet)
	}
	r.quiet = 200 * time.Millisecond
	err = r.Messages(t.Context(), &Hello{}, func(m Message) error {
		if m.Alive {
			got++
		}
		return nil
	})
	if !errors.Is(err, errQuiet) || got > 1 {
		t.Errorf("after %d messages: %v", got, err)
	}
}

// TestReportLines has reports be lines only while a server is connected that takes them.
func TestReportLines(t *testing.T) {
	types := make(chan string, 1)
	end := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/messages") {
			types <- r.Header.Get("Content-Type")
			_, _ = w.Write([]byte("{}")) // the test sees whether it comes
			return
		}
		_, _ = w.Write([]byte(`{"session":{"lines":true}}` + "\n"))
		_ = http.NewResponseController(w).Flush()
		<-end
	}))
	defer front.Close()
	c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := c.Runner("r", "instance0123456789012")
	report := func(want string) {
		t.Helper()
		if _, err := r.Report(t.Context(), &Report{First: 1}); err != nil {
			t.Error(err)
		}
		if got := <-types; got != want {
			t.Errorf("a report is %s, want %s", got, want)
		}
	}
	report("application/json")
	err = r.Messages(t.Context(), &Hello{}, func(m Message) error {
		report(ReportLines)
		close(end)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	report("application/json")
}

// TestQuietPeer has a server stop in the middle of each kind of request that has much to send or to get, also if something between
// answers for it.
func TestQuietPeer(t *testing.T) {
	for name, do := range map[string]func(c *Client) error{
		"events": func(c *Client) error { return c.SoFar(t.Context(), "p", "r", func(run.Event) {}) },
		"content": func(c *Client) error {
			r, err := c.Runner("r", "i").Content(t.Context(), "d")
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				err = errors.Join(err, r.Close())
			}
			return err
		},
		"put a content":   func(c *Client) error { return c.PutContent(t.Context(), "p", "d", endless{}) },
		"put an artifact": func(c *Client) error { return c.Runner("r", "i").PutContent(t.Context(), "d", endless{}) },
		"a list":          func(c *Client) error { _, err := c.Tools(t.Context(), "p"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			leave := make(chan struct{})
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = w.Write([]byte("[")) // the test sees whether it comes
					_ = http.NewResponseController(w).Flush()
				}
				<-leave
			}))
			defer front.Close()
			defer close(leave)
			c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			transport, ok := c.http.Transport.(*stall.Transport)
			if !ok || transport.After != quietTime {
				t.Fatalf("the transport is %+v", c.http.Transport)
			}
			transport.After = 200 * time.Millisecond
			if err := do(c); err == nil || !strings.Contains(err.Error(), errQuiet.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// endless has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
