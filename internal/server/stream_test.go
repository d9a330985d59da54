package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestStreamOfAnEndedToken removes the token of each kind of stream: it ends soon.
func TestStreamOfAnEndedToken(t *testing.T) {
	for name, c := range map[string]struct{ role, method, path, body string }{
		"follow a run":     {RoleViewer, http.MethodGet, "/projects/own/runs/a/events", ""},
		"follow a list":    {RoleViewer, http.MethodGet, "/projects/own/runs/live", ""},
		"connect a runner": {RoleRunner, http.MethodPost, "/runner/r/" + strings.Repeat("a", 26) + "/messages", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.keepAlive = 10 * time.Millisecond
			if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Pool: "other", Request: []byte("{}")}, nil); err != nil {
				t.Fatal(err)
			}
			if c.role == RoleRunner {
				hello, err := json.Marshal(api.Hello{Protocol: api.Protocol, Name: "r", Slots: 1, Key: someKey})
				if err != nil {
					t.Fatal(err)
				}
				c.body = string(hello)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, c.method, r.url+api.Prefix+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+r.tokens[c.role])
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 30)); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%d, %v", resp.StatusCode, err)
			}
			if err := r.deleteToken(ctx, "", c.role); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("the stream goes on: %v", err)
			}
		})
	}
}

// TestBusyStreamOfAnEndedToken has streams that have something to send when the time to look at the token has come: they send nothing more.
func TestBusyStreamOfAnEndedToken(t *testing.T) {
	r := newRig(t)
	r.keepAlive = 1
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Pool: "other", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := context.WithValue(ctx, identityKey{}, identity{Token: store.Token{Hash: hashOf("ended")}})
	for name, stream := range map[string]func(http.ResponseWriter) error{
		"follow a run": func(w http.ResponseWriter) error { return r.stream(ended, w, "own", "a", 0, true) },
		"follow a list": func(w http.ResponseWriter) error {
			return r.streamList(ended, w, "runs", api.RunList{}, make(chan struct{}), nil)
		},
	} {
		w := httptest.NewRecorder()
		if err := stream(w); err != nil || w.Body.Len() > 0 {
			t.Errorf("%s: %v, sent %q", name, err, w.Body)
		}
	}
}

// TestMostStreams has a token with as many streams as it may have: another one is refused until one has ended. Others aren't.
func TestMostStreams(t *testing.T) {
	r := newRig(t)
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Pool: "other", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	const run, list = "/api/v1/projects/own/runs/a/events?wait=false", "/api/v1/projects/own/runs/live"
	token := string(hashOf(r.tokens[RoleViewer]))
	for range mostStreams {
		if !r.streams.enter(token) {
			t.Fatal("too early")
		}
	}
	for _, path := range []string{run, list} {
		if status, p := r.call(t, http.MethodGet, path, r.tokens[RoleViewer], ""); status != http.StatusTooManyRequests || p.Remedy != "end some of them, or use another token" {
			t.Fatalf("%s: %d %+v", path, status, p)
		}
	}
	for path, role := range map[string]string{run: RoleOperator, "/api/v1/projects/own/runs": RoleViewer} {
		if status, p := r.call(t, http.MethodGet, path, r.tokens[role], ""); status != http.StatusOK {
			t.Errorf("%s of %s: %d %+v", path, role, status, p)
		}
	}
	r.streams.leave(token)
	for range 2 { // the first one gives its place back before it ends
		if text, header, err := r.fetch(t, "a/events?wait=false"); err != nil || header.Get("Content-Type") != typeEvents {
			t.Errorf("after one has ended: %s, %v", text, err)
		}
	}
}
