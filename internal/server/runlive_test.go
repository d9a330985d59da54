package server

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestFollowRuns has a page that shows a list: it gets the list at once, and again when a run is accepted, is taken and has ended, on this
// server or on another one.
func TestFollowRuns(t *testing.T) {
	r := newRigWith(t, Options{Poll: time.Millisecond})
	r.keepAlive = time.Hour // only a change makes it look again
	lists := bufio.NewScanner(r.open(t, "/projects/own/runs/live?tool=t&limit=2", "own "+RoleViewer))
	// next reads lists until one is like this: those between are a matter of timing.
	next := func(want string) {
		t.Helper()
		for lists.Scan() {
			text, ok := strings.CutPrefix(lists.Text(), "data: ")
			if !ok {
				continue
			}
			var list api.RunList
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, one := range list.Runs {
				got += one.ID + " " + string(one.Status) + ";"
			}
			if got == want {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", want, lists.Err())
	}
	next("")
	accept := func(id, tool string, to *store.Lessee) {
		t.Helper()
		if err := r.store.Accept(t.Context(), store.NewRun{ID: id, Project: "own", Tool: tool, Kind: "tool", Pool: defaultPool, Request: []byte("{}")}, to); err != nil {
			t.Fatal(err)
		}
	}
	accept("a", "t", nil)
	next("a queued;")
	accept("b", "another", nil)
	accept("c", "t", &store.Lessee{Runner: "r", Lease: time.Hour})
	next("c queued;a queued;")
	ended := store.Ended{Status: run.Failed, Result: []byte("{}")}
	if _, err := r.store.Report(t.Context(), store.Report{Hold: store.Hold{Run: "c", Attempt: 1}, Runner: "r", First: 1, Ended: &ended}); err != nil {
		t.Fatal(err)
	}
	next("c failed;a queued;")
	accept("d", "t", nil)
	next("d queued;c failed;")
	r.live.close()
	for lists.Scan() {
		if strings.HasPrefix(lists.Text(), "data: ") {
			t.Errorf("after the end: %s", lists.Text())
		}
	}
}

// open begins to read a stream of events.
func (r *rig) open(t *testing.T, path, role string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+api.Prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[role])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() }) // it was read to its end
	if kind := resp.Header.Get("Content-Type"); kind != typeEvents {
		t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	return resp.Body
}

// TestHeadOfStreams asks for the headers of streams, on connections that stay: no stream begins.
func TestHeadOfStreams(t *testing.T) {
	r := newRig(t)
	accepted, err := r.client(t, RoleAdmin).CreateRun(t.Context(), "own", &api.NewRun{Bundle: r.sent(t, "name: t\nimage: busybox\ncommand: [x]\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/projects/own/runs/live", "/projects/own/runs/" + accepted.ID + "/events"} {
		if status, p := r.call(t, http.MethodHead, api.Prefix+path, r.tokens["own "+RoleViewer], ""); status != http.StatusOK {
			t.Errorf("%s: %d %v", path, status, p)
		}
	}
	r.streams.mu.Lock()
	defer r.streams.mu.Unlock()
	if len(r.streams.of) > 0 {
		t.Errorf("streams are open: %v", len(r.streams.of))
	}
}
