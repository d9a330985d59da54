package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestCancelIsSent has a runner hear of a cancel at once: it sends no heartbeat, whose answer would have it too, and the server doesn't poll.
// So no time is measured, which depends on the machine; without the message the test waits until its own end.
func TestCancelIsSent(t *testing.T) {
	r := newRigWith(t, Options{Lease: time.Hour, Poll: time.Hour})
	r.keepAlive = time.Hour
	hello, err := json.Marshal(api.Hello{Protocol: api.Protocol, Slots: 1, Key: someKey})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/api/v1/runner/r/"+reporter+"/messages", strings.NewReader(string(hello)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[RoleRunner])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (m api.Message) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the stream ends: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if next().Session == nil {
		t.Fatal("the first message is no session")
	}
	a := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs", `{"bundle":`+r.bundle(t, oneTool)+`}`)
	as := next().Assign
	if as == nil || !strings.Contains(a.body, as.Run) {
		t.Fatalf("the runner gets %+v of %+v", as, a)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs/"+as.Run+"/cancel", ""); a.status != http.StatusOK {
		t.Fatalf("cancel: %+v", a)
	}
	if m := next(); m.Cancel == nil || *m.Cancel != as.Holding {
		t.Errorf("after the cancel the runner hears %+v", m)
	}
}
