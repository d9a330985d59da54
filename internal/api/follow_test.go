package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestFollowAfterQuiet cuts a stream that was silent for long, and checks that the reader comes back.
func TestFollowAfterQuiet(t *testing.T) {
	now, streams := time.Now(), 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if streams++; streams == 1 {
			return
		}
		_, _ = fmt.Fprint(w, "data: {\"seq\":1,\"type\":\"result\",\"result\":{}}\n\n") // the test sees whether it comes
	}))
	defer front.Close()
	c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.now = func() time.Time {
		now = now.Add(away * 2 / 3) // between any two looks; a stream is one of the times that pass
		return now
	}
	got := 0
	if err := c.Follow(context.WithoutCancel(t.Context()), "p", "r", 0, func(run.Event) { got++ }, nil); err != nil || got != 1 {
		t.Errorf("got %d events, %v", got, err)
	}
}

// TestFollowEndingServer follows a run whose server ends streams before their first event, while the run ends.
func TestFollowEndingServer(t *testing.T) {
	streams := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			_, _ = fmt.Fprint(w, `{"id":"r","status":"failed","finished":"2026-11-30T00:00:00Z","events":1}`) // the test sees whether it comes
			return
		}
		if streams++; streams == 4 {
			_, _ = fmt.Fprint(w, "data: {\"seq\":1,\"type\":\"result\",\"status\":\"failed\"}\n\n")
		}
	}))
	defer front.Close()
	c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := 0
	if err := c.Follow(t.Context(), "p", "r", 0, func(run.Event) { got++ }, nil); err != nil || got != 1 {
		t.Errorf("got %d events, %v", got, err)
	}
}

// TestFollowWithoutResult follows a run that has ended, and whose events don't say how.
func TestFollowWithoutResult(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasSuffix(r.URL.Path, "/events"):
			_, _ = fmt.Fprint(w, `{"id":"r","status":"failed","finished":"2026-11-30T00:00:00Z","events":1}`) // the test sees whether it comes
		case r.Header.Get("Last-Event-ID") == "":
			_, _ = fmt.Fprint(w, "data: {\"seq\":1,\"type\":\"log\",\"stream\":\"stdout\",\"data\":\"x\"}\n\n")
		}
	}))
	defer front.Close()
	c, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := 0
	err = c.Follow(t.Context(), "p", "r", 0, func(run.Event) { got++ }, nil)
	if got != 1 || err == nil || !strings.Contains(err.Error(), "run r has ended as failed, but the last of its events isn't its result") {
		t.Errorf("got %d events, %v", got, err)
	}
}

// TestFollowTooManyStreams has a server refuse a stream since there are too many: a reader whose stream was cut waits until its place is free,
// and one that begins hears it.
func TestFollowTooManyStreams(t *testing.T) {
	for name, c := range map[string]struct{ refused, want int }{"a cut one": {2, 2}, "a new one": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch asked++; {
				case asked == c.refused:
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = fmt.Fprint(w, `{"status":429,"code":"rate_limited","detail":"too many"}`) // the test sees whether it comes
				case r.Header.Get("Last-Event-ID") == "":
					_, _ = fmt.Fprint(w, "data: {\"seq\":1,\"type\":\"log\",\"stream\":\"stdout\",\"data\":\"x\"}\n\n")
				default:
					_, _ = fmt.Fprint(w, "data: {\"seq\":2,\"type\":\"result\",\"status\":\"failed\"}\n\n")
				}
			}))
			defer front.Close()
			client, err := NewClient(ClientOptions{Server: front.URL, Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got := 0
			err = client.Follow(t.Context(), "p", "r", 0, func(run.Event) { got++ }, nil)
			if (err == nil) != (c.want > 0) || got != c.want {
				t.Errorf("got %d events, %v, want %d", got, err, c.want)
			}
		})
	}
}
