package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/store"
)

// reply is what a request was answered with.
type reply struct {
	status   int
	replayed string
	body     string
}

// keyed sends a request with a key, if it isn't empty.
func (r *rig) keyed(t *testing.T, token, key, path, body string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+api.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set(api.KeyHeader, key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Idempotency-Replayed"), string(data)}
}

// sentContent is a content that the projects of tests were sent.
func (r *rig) sentContent(t *testing.T, text string) (digest string) {
	t.Helper()
	digest = archive.Digest([]byte(text))
	if err := r.archive.Put(t.Context(), digest, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for _, project := range []string{"own", "p", "web"} {
		if err := r.store.AddContents(t.Context(), project, []string{digest}); err != nil {
			t.Fatal(err)
		}
	}
	return digest
}

// bundle returns a bundle of a definition as JSON, whose content was sent.
func (r *rig) bundle(t *testing.T, text string) string {
	t.Helper()
	digest := r.sentContent(t, text)
	return fmt.Sprintf(`{"definition":"t.yaml","files":[{"path":"t.yaml","digest":%q,"size":%d}]}`, digest, len(text))
}

const (
	oneTool  = "name: t\nimage: busybox\ncommand: [echo, <&>]\n"
	nextTool = "name: t\nimage: busybox\ncommand: [echo, again]\n"
	oneFlow  = "name: f\nworkflow: [{name: a, tool: {image: busybox, command: [echo, a]}}]\n"
)

// TestOnce sends each request that makes something twice with a key: the answers are the same, and only one thing is made.
func TestOnce(t *testing.T) {
	r := newRig(t)
	admin := r.tokens[RoleAdmin]
	tool, next, flow := r.bundle(t, oneTool), r.bundle(t, nextTool), r.bundle(t, oneFlow)
	at := "/projects/own"
	old := r.keyed(t, admin, "", at+"/runs", `{"bundle":`+tool+`}`)
	var first api.Run
	if err := json.Unmarshal([]byte(old.body), &first); err != nil || first.ID == "" {
		t.Fatalf("%+v, %v", old, err)
	}
	oldFlow := r.keyed(t, admin, "", at+"/runs", `{"bundle":`+flow+`}`)
	var firstFlow api.Run
	if err := json.Unmarshal([]byte(oldFlow.body), &firstFlow); err != nil || firstFlow.Kind != "workflow" {
		t.Fatalf("%+v, %v", oldFlow, err)
	}
	tried := map[string]bool{}
	for _, c := range []struct{ operation, path, body, other string }{
		{"create-run", at + "/runs", `{"bundle":` + tool + `}`, `{"bundle":` + next + `}`},
		{"create-run", at + "/runs", `{"bundle":` + flow + `,"pool":"none"}`, `{"bundle":` + flow + `}`},
		{"rerun", at + "/runs/" + first.ID + "/rerun", "", "{}"},
		{"rerun", at + "/runs/" + firstFlow.ID + "/rerun", "", "{}"},
		{"create-version", at + "/tools/t/versions", tool, next},
		{"create-project-token", at + "/tokens", `{"name":"n","role":"viewer"}`, `{"name":"m","role":"viewer"}`},
		{"create-token", "/tokens", `{"name":"n","role":"viewer"}`, `{"name":"m","role":"viewer"}`},
		{"resume-run", at + "/runs/" + r.endedFlow(t) + "/resume", "{}", `{"only":"a"}`},
		{"rotate-keys", "/keys/rotate", "", "{}"},
	} {
		key := fmt.Sprint("key-", len(tried), c.path, len(c.body))
		tried[c.operation] = true
		one := r.keyed(t, admin, key, c.path, c.body)
		if one.status/100 != 2 || one.replayed != "" {
			t.Fatalf("%s: %+v", c.operation, one)
		}
		if c.operation == "create-version" { // another one comes between
			if a := r.keyed(t, admin, "", c.path, c.other); a.status/100 != 2 {
				t.Fatalf("another version: %+v", a)
			}
		}
		again := r.keyed(t, admin, key, c.path, c.body)
		if again.status != one.status || again.body != one.body || again.replayed != "true" {
			t.Errorf("%s again:\n%+v\nfirst:\n%+v", c.operation, again, one)
		}
		if a := r.keyed(t, admin, key, c.path, c.other); a.status != http.StatusConflict || !strings.Contains(a.body, string(run.CodeKeyReused)) {
			t.Errorf("%s with another request: %+v", c.operation, a)
		}
		if a := r.keyed(t, admin, key, "/projects/foreign/runs", c.body); a.status != http.StatusConflict {
			t.Errorf("%s at another address: %+v", c.operation, a)
		}
		if kept, err := r.store.Answer(t.Context(), hashOf(admin), key); err != nil || bytes.Contains(kept.Body, []byte("mfly_")) {
			t.Errorf("%s: the store has the answer %q, %v", c.operation, kept.Body, err)
		}
	}
	for op := range operations(r.api.OpenAPI()) {
		_, creates := creations[op.OperationID]
		described := false
		for _, p := range op.Parameters {
			described = described || p.Name == api.KeyHeader
		}
		if made := op.DefaultStatus == http.StatusCreated || strings.HasPrefix(op.OperationID, "create-") || op.OperationID == "rotate-keys"; made != creates || creates != described || creates != tried[op.OperationID] {
			t.Errorf("%s makes something: %v, takes a key: %v, says so: %v, was tried: %v", op.OperationID, made, creates, described, tried[op.OperationID])
		}
	}
}

// TestOnceAudited has requests whose key has an answer, and that fail by now. Each has one entry, of what it was answered.
func TestOnceAudited(t *testing.T) {
	r := newRig(t)
	admin := r.tokens[RoleAdmin]
	if a := r.keyed(t, admin, "", "/projects/own/tools/t/versions", r.bundle(t, oneTool)); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	one := r.keyed(t, admin, "k", "/projects/own/runs", `{"tool":"t"}`)
	if a := r.keyed(t, admin, "k", "/projects/own/runs", `{"tool":"t","labels":{"a":"b"}}`); a.status != http.StatusConflict {
		t.Errorf("%+v", a)
	}
	all, err := r.store.Entries(t.Context(), store.AuditFilter{Latest: true, Most: 1})
	if err != nil || len(all) != 1 || all[0].Subject != "runs" || len(all[0].Details) != 0 {
		t.Errorf("the entry names a run that wasn't made: %+v, %v", all, err)
	}
	r.queues.most = 1 // and one waits
	clear(r.queues.have)
	for name, c := range map[string]struct{ key, body, outcome, replayed, repeated string }{
		"repeated":       {"k", `{"tool":"t"}`, "ok", "true", "yes"},
		"another":        {"k", `{"tool":"none"}`, string(run.CodeKeyReused), "", ""},
		"failed at last": {"l", `{"tool":"t"}`, string(run.CodeQueueFull), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			head, err := r.store.AuditHead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a := r.keyed(t, admin, c.key, "/projects/own/runs", c.body)
			if a.replayed != c.replayed || c.replayed != "" && a.body != one.body {
				t.Errorf("%+v", a)
			}
			entries, err := r.store.Entries(t.Context(), store.AuditFilter{After: head.Number, Most: 10})
			if err != nil || len(entries) != 1 || entries[0].Outcome != c.outcome || entries[0].Details["repeated"] != c.repeated {
				t.Errorf("the entries are %+v, %v", entries, err)
			}
		})
	}
}

// TestOnceQueued repeats a request more often than runs may wait: it is one run.
func TestOnceQueued(t *testing.T) {
	r := newRig(t)
	r.queues.most = 2
	body := `{"bundle":` + r.bundle(t, oneTool) + `}`
	for range 4 {
		if a := r.keyed(t, r.tokens[RoleAdmin], "k", "/projects/own/runs", body); a.status != http.StatusCreated {
			t.Errorf("%+v", a)
		}
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "l", "/projects/own/runs", body); a.status != http.StatusCreated {
		t.Errorf("the second run: %+v", a)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "m", "/projects/own/runs", body); a.status != http.StatusTooManyRequests {
		t.Errorf("the third run: %+v", a)
	}
}

// TestOnceKeys checks whose a key is, and that what fails may be tried again.
func TestOnceKeys(t *testing.T) {
	r := newRig(t)
	tool := `{"bundle":` + r.bundle(t, oneTool) + `}`
	a := r.keyed(t, r.tokens[RoleAdmin], "k", "/projects/own/runs", tool)
	b := r.keyed(t, r.tokens[RoleAuthor], "k", "/projects/own/runs", tool)
	if a.status != http.StatusCreated || b.status != http.StatusCreated || b.replayed != "" || a.body == b.body {
		t.Errorf("two tokens with the same key: %+v, %+v", a, b)
	}
	missing := `{"tool":"later"}`
	if a := r.keyed(t, r.tokens[RoleAdmin], "later", "/projects/own/runs", missing); a.status != http.StatusNotFound {
		t.Errorf("a tool that isn't there: %+v", a)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/tools/later/versions", r.bundle(t, oneTool)); a.status != http.StatusOK {
		t.Fatalf("push: %+v", a)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "later", "/projects/own/runs", missing); a.status != http.StatusCreated || a.replayed != "" {
		t.Errorf("a tool that is there now: %+v", a)
	}
	if a := r.keyed(t, r.tokens[RoleViewer], "k2", "/projects/own/runs", tool); a.status != http.StatusForbidden {
		t.Errorf("a viewer: %+v", a)
	}
	for _, key := range []string{strings.Repeat("k", 256), "a b", "ä"} {
		if a := r.keyed(t, r.tokens[RoleAdmin], key, "/projects/own/runs", tool); a.status != http.StatusUnprocessableEntity {
			t.Errorf("the key %.20q: %+v", key, a)
		}
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "large", "/projects/own/runs", strings.Repeat(" ", 5<<20)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large request: %+v", a)
	}
}

// TestOnceAtOnce sends the same request many times at once.
func TestOnceAtOnce(t *testing.T) {
	r := newRig(t)
	tool := `{"bundle":` + r.bundle(t, oneTool) + `}`
	var work sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 30 {
		work.Go(func() {
			a := r.keyed(t, r.tokens[RoleAdmin], "k", "/projects/own/runs", tool)
			mu.Lock()
			defer mu.Unlock()
			answers[fmt.Sprint(a.status, a.body)]++
		})
	}
	work.Wait()
	runs, _, err := r.store.Runs(t.Context(), store.Filter{Project: "own", Most: 100})
	if err != nil || len(runs) != 1 || len(answers) != 1 {
		t.Errorf("%d runs, %v, and the answers %v", len(runs), err, answers)
	}
	entries, err := r.store.Entries(t.Context(), store.AuditFilter{Action: "create-run", Most: 100})
	made := 0
	for _, e := range entries {
		if e.Outcome != "ok" {
			t.Errorf("the audit log has %+v", e)
		}
		if e.Details["repeated"] == "" {
			made++
		}
	}
	if err != nil || made != 1 {
		t.Errorf("%d of %d entries of the audit log made something, %v", made, len(entries), err)
	}
}

// TestClientRepeats has connections break before the answer: the client repeats the request, and one run is made.
func TestClientRepeats(t *testing.T) {
	r := newRig(t)
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	var passed, broken atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out := httptest.NewRecorder()
		proxy.ServeHTTP(out, req) // the server has done it
		if passed.Add(1) <= 2 && req.Method == http.MethodPost {
			broken.Add(1)
			panic(http.ErrAbortHandler)
		}
		for name, values := range out.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(out.Code)
		_, _ = w.Write(out.Body.Bytes())
	}))
	defer front.Close()
	client, err := api.NewClient(api.ClientOptions{Server: front.URL, Token: r.tokens[RoleAdmin]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var b api.Bundle
	if err := json.Unmarshal([]byte(r.bundle(t, oneTool)), &b); err != nil {
		t.Fatal(err)
	}
	got, err := client.CreateRun(t.Context(), "own", &api.NewRun{Bundle: &b})
	if err != nil || broken.Load() != 2 {
		t.Fatalf("after %d broken connections: %v", broken.Load(), err)
	}
	runs, _, err := r.store.Runs(t.Context(), store.Filter{Project: "own", Most: 100})
	if err != nil || len(runs) != 1 || runs[0].ID != got.ID {
		t.Errorf("the client has run %s, and the store %d runs, %v", got.ID, len(runs), err)
	}
	front.Close()
	begin := time.Now()
	away, err := api.NewClient(api.ClientOptions{Server: front.URL, Token: r.tokens[RoleAdmin]})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	if _, err := away.CreateRun(t.Context(), "own", &api.NewRun{Bundle: &b}); err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("a server that is away: %v after %s", err, time.Since(begin))
	}
}

// TestRotateOnce repeats the request for a new key, also at once: there is one new key.
func TestRotateOnce(t *testing.T) {
	dir := t.TempDir()
	r := newRigWith(t, Options{Keys: newKeys(t, dir)})
	count := func() int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := count()
	var asking sync.WaitGroup
	for range 5 {
		asking.Go(func() {
			if a := r.keyed(t, r.tokens[RoleAdmin], "k", "/keys/rotate", ""); a.status != http.StatusNoContent || a.body != "" {
				t.Errorf("%+v", a)
			}
		})
	}
	asking.Wait()
	if n := count(); n != before+1 {
		t.Errorf("there were %d keys, and are %d", before, n)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "", "/keys/rotate", ""); a.status != http.StatusNoContent || count() != before+2 {
		t.Errorf("without a key: %+v, and %d keys", a, count())
	}
}

func newKeys(t *testing.T, dir string) *secret.Keys {
	t.Helper()
	keys, err := secret.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
