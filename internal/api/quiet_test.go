package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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
