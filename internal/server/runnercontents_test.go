package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// heldStep accepts a run that the reporter has: it gets an artifact, and makes one.
func (r *rig) heldStep(t *testing.T, id, digest string) {
	t.Helper()
	r.heldRequest(t, id, &run.Request{
		ID: id, Tool: &tool.Tool{Name: "t"}, Artifacts: []run.Artifact{{Name: "in", Target: "/in", Digest: digest}, {Name: "out", Target: "/out", Made: true}},
	}, false)
}

// heldRequest accepts a run with a request, which may be sealed, that the reporter has.
func (r *rig) heldRequest(t *testing.T, id string, req *run.Request, secret bool) {
	t.Helper()
	data, err := r.keepRequest(t.Context(), keptRequest{Request: req}, secret)
	if err != nil {
		t.Fatal(err)
	}
	err = r.store.Accept(t.Context(), store.NewRun{ID: id, Project: "own", Tool: "t", Kind: "tool", Pool: defaultPool, Request: data},
		&store.Lessee{Runner: holder(defaultPool, "r", reporter), Lease: r.lease})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRunnerRequests has runners ask for what isn't theirs: with the token of another pool, under another name or as another instance. The
// tokens of people may nothing of it.
func TestRunnerRequests(t *testing.T) {
	const (
		notHeld   = "409 the attempt belongs to this runner no longer: its lease ran out, or the run has ended; end it, and report nothing more of it"
		notNeeded = "404 no attempt that this runner holds needs the content DIGEST; get it while an attempt that needs it is held"
		notMaking = "409 this runner holds no attempt that makes artifacts: its lease ran out, or the run has ended; end it, and report nothing more of it"
		needsRole = "403 this needs the role runner, and the token admin has admin; use a token with that role in this project"
		unknown   = "401 the token is unknown, has expired or is revoked; log in with another one: mayfly login URL --token-file FILE"
		lost      = `200 {"lost":[{"run":"a","attempt":1}]}`
	)
	r := newRigWith(t, Options{Lease: time.Hour})
	add := func(name, role, pool string, expires time.Time) string {
		text, hash := NewToken()
		if err := r.store.AddToken(t.Context(), store.Token{Hash: hash, Name: name, Role: role, Pool: pool, Expires: expires}); err != nil {
			t.Fatal(err)
		}
		return text
	}
	needed, made := "needed", "made"
	digest := archive.Digest([]byte(needed))
	for _, text := range []string{needed, "another"} {
		if err := r.archive.Put(t.Context(), archive.Digest([]byte(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	r.heldStep(t, "a", digest)
	own, other, expired := r.tokens[RoleRunner], add("farm", RoleRunner, "farm", time.Time{}), add("old", RoleRunner, defaultPool, time.Now().Add(-time.Hour))
	body := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	hold := api.Holding{Run: "a", Attempt: 1}
	hello := api.Hello{Protocol: api.Protocol, Version: "1", Slots: 1, Key: someKey}
	beat := hello
	beat.Holds = []api.Holding{hold}
	event := run.Event{Time: time.Now().UTC(), Log: &run.Log{Stream: "stdout", Data: "x"}}
	requests := []struct{ name, method, path, body, own, foreign string }{
		{"report", http.MethodPost, "/reports", body(api.Report{Holding: hold, First: 1, Events: []run.Event{event}}), `200 {"last":1}`, notHeld},
		{"heartbeat", http.MethodPost, "/heartbeat", body(api.Heartbeat{Hello: beat}), "200 {}", lost},
		{"get", http.MethodGet, "/contents/" + digest, "", "200 needed", strings.ReplaceAll(notNeeded, "DIGEST", digest)},
		{"put", http.MethodPut, "/contents/" + archive.Digest([]byte(made)), made, "204 ", notMaking},
		// Last, since it takes from the runner what it doesn't say that it holds. The answer of others has nothing of it either.
		{"messages", http.MethodPost, "/messages", body(hello), `200 {"session":{"heartbeat_seconds":1200,"lease_seconds":3600,"lines":true}}`, `200 {"session":{"heartbeat_seconds":1200,"lease_seconds":3600,"lines":true}}`},
	}
	for _, who := range []struct{ name, token, runner, instance, want string }{
		{"another pool", other, "r", reporter, ""},
		{"another runner", own, "q", reporter, ""},
		{"another instance", own, "r", strings.Repeat("j", 26), ""},
		{"an expired token", expired, "r", reporter, unknown},
		{"no runner", r.tokens[RoleAdmin], "r", reporter, needsRole},
		{"its own", own, "r", reporter, "own"},
	} {
		for _, c := range requests {
			t.Run(who.name+"/"+c.name, func(t *testing.T) {
				want := who.want
				switch want {
				case "":
					want = c.foreign
				case "own":
					want = c.own
				}
				got := r.first(t, c.method, "/runner/"+who.runner+"/"+who.instance+c.path, who.token, c.body)
				if got != want {
					t.Errorf("got %s\nwant %s", got, want)
				}
			})
		}
	}
}

// first is the status of an answer and its first line; of a problem, what a person reads of it.
func (r *rig) first(t *testing.T, method, path, token, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+api.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var p api.Problem
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		line = p.Detail + "; " + p.Remedy
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(line))
}

// TestRunnerContents checks which contents a runner gets: those that an attempt needs that it holds now.
func TestRunnerContents(t *testing.T) {
	r := newRigWith(t, Options{Lease: time.Hour})
	digest := func(text string) string {
		d := archive.Digest([]byte(text))
		if err := r.archive.Put(t.Context(), d, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	files, artifact, sealed, named, made := digest("files"), digest("artifact"), digest("sealed"), digest("named"), digest("made")
	withFiles := &tool.Tool{Name: "t", Source: tool.Source{Files: files}}
	at := "/runner/r/" + reporter + "/contents/"
	get := func(d string) string { return r.first(t, http.MethodGet, at+d, r.tokens[RoleRunner], "")[:3] }
	put := func() string { return r.first(t, http.MethodPut, at+made, r.tokens[RoleRunner], "made")[:3] }
	check := func(when string, want map[string]string, puts string) {
		t.Helper()
		for d, status := range want {
			if got := get(d); got != status {
				t.Errorf("%s: %s is %s, want %s", when, d, got, status)
			}
		}
		if got := put(); got != puts {
			t.Errorf("%s: an artifact is taken with %s, want %s", when, got, puts)
		}
	}
	check("nothing is held", map[string]string{files: "404", artifact: "404", digest("none"): "404", "x": "422"}, "409")
	r.heldRequest(t, "a", &run.Request{ID: "a", Tool: withFiles, Inputs: run.Values{"x": named}}, false)
	check("a tool", map[string]string{files: "200", artifact: "404", named: "404"}, "409")
	r.heldRequest(t, "b", &run.Request{ID: "b", Tool: &tool.Tool{Name: "t"}, Artifacts: []run.Artifact{{Name: "in", Digest: sealed}, {Name: "out", Made: true, Digest: named}}}, true)
	check("a sealed step", map[string]string{files: "200", sealed: "200", named: "404"}, "204")
	r.heldStep(t, "c", artifact)
	for _, id := range []string{"a", "b"} {
		report := &api.Report{Holding: api.Holding{Run: id, Attempt: 1}, First: 1, Result: &run.Result{Status: run.Failed}}
		if _, err := r.Report(t.Context(), holder(defaultPool, "r", reporter), report); err != nil {
			t.Fatal(err)
		}
	}
	check("others have ended", map[string]string{files: "404", sealed: "404", artifact: "200"}, "204")
}

// TestArtifactsNotSent has a runner name what it hasn't sent as an artifact, also if another one has: the run stays as it is until it is sent.
func TestArtifactsNotSent(t *testing.T) {
	r := newRigWith(t, Options{Lease: time.Hour})
	const text = "another project's"
	theirs := r.sentContent(t, text)
	if err := r.Link(defaultPool, "r", "another instance").PutContent(t.Context(), theirs, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	r.heldStep(t, "a", archive.Digest([]byte("in")))
	report := &api.Report{Holding: api.Holding{Run: "a", Attempt: 1}, First: 1, Result: &run.Result{Status: run.Succeeded, Artifacts: map[string]string{"out": theirs}}}
	runner := holder(defaultPool, "r", reporter)
	for _, send := range []func() error{
		func() error {
			return r.Link(defaultPool, "r", reporter).PutContent(t.Context(), theirs, strings.NewReader("guessed"))
		},
		func() error {
			if got := r.first(t, http.MethodPut, "/runner/r/"+reporter+"/contents/"+theirs, r.tokens[RoleRunner], "guessed"); !strings.HasPrefix(got, "422") {
				return errors.New(got)
			}
			return nil
		},
	} {
		if err := send(); err != nil && !codeIs(err, run.CodeInvalidInput) {
			t.Fatal(err)
		}
		if _, err := r.Report(t.Context(), runner, report); !codeIs(err, run.CodeInvalidRequest) || !strings.Contains(err.Error(), "has not sent the artifact out") {
			t.Errorf("%v", err)
		}
	}
	if got := r.first(t, http.MethodPut, "/runner/r/"+reporter+"/contents/"+theirs, r.tokens[RoleRunner], text); !strings.HasPrefix(got, "204") {
		t.Fatal(got)
	}
	if out, err := r.Report(t.Context(), runner, report); err != nil || !out.Ended {
		t.Errorf("after it was sent: %+v, %v", out, err)
	}
}

// TestUnreadableRequest has a runner hold attempts whose sealed requests can't be opened: what other attempts need and make passes.
func TestUnreadableRequest(t *testing.T) {
	r := newRigWith(t, Options{Lease: time.Hour})
	at := "/runner/r/" + reporter + "/contents/"
	needed, made := archive.Digest([]byte("needed")), archive.Digest([]byte("made"))
	if err := r.archive.Put(t.Context(), needed, strings.NewReader("needed")); err != nil {
		t.Fatal(err)
	}
	digits, err := content.Digits(needed)
	if err != nil {
		t.Fatal(err)
	}
	damaged := store.NewRun{Project: "own", Tool: "t", Kind: "tool", Pool: defaultPool, Request: fmt.Appendf(nil, `{"sealed":"eA==","contents":[%q]}`, digits)}
	for _, damaged.ID = range []string{"a", "c"} { // before the other one, and after it
		if err := r.store.Accept(t.Context(), damaged, &store.Lessee{Runner: holder(defaultPool, "r", reporter), Lease: r.lease}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when, want string) {
		t.Helper()
		for _, got := range []string{r.first(t, http.MethodGet, at+needed, r.tokens[RoleRunner], ""), r.first(t, http.MethodPut, at+made, r.tokens[RoleRunner], "made")} {
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
	}
	check("only those", "500")
	r.heldStep(t, "b", needed)
	check("with another one", "20")
}
