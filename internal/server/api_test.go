package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// rig is a server with a token of each role, some of them for the project own.
type rig struct {
	*Server
	url    string
	tokens map[string]string // by role, with "own " before those of the project own
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, Options{})
}

// newRigWith is newRig with other options.
func newRigWith(t *testing.T, o Options) *rig {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // see newReplica
	db := o.Store
	if db == nil {
		var err error
		if db, err = sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a.db")); err != nil {
			t.Fatal(err)
		}
	}
	if o.Keys == nil {
		o.Keys = newKeys(t, t.TempDir())
	}
	o.Store, o.Archive = db, archive.Dir(t.TempDir())
	r := &rig{Server: New(o), tokens: map[string]string{}}
	front := httptest.NewServer(r.Handler())
	t.Cleanup(func() {
		r.Close()
		front.Close()
		if err := db.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	r.url = front.URL
	for _, role := range append([]string{RoleRunner}, roles...) {
		for prefix, project := range map[string]string{"": "", "own ": "own"} {
			text, hash := NewToken()
			if err := db.AddToken(t.Context(), store.Token{Hash: hash, Name: role, Project: project, Role: role, Pool: "default"}); err != nil {
				t.Fatal(err)
			}
			r.tokens[prefix+role] = text
		}
	}
	return r
}

// call sends a request, and reads its answer. A problem must be one.
func (r *rig) call(t *testing.T, method, path, token, body string) (int, *api.Problem) {
	t.Helper()
	return r.callAs(t, "application/json", method, path, token, body)
}

// callAs is call with a body of another type.
func (r *rig) callAs(t *testing.T, kind, method, path, token, body string) (int, *api.Problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %s: the headers are %v", method, path, resp.Header)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp.StatusCode, nil
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p := &api.Problem{}
	if err := json.Unmarshal(data, p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" ||
		p.Status != resp.StatusCode || p.Reason == "" || p.Detail == "" || p.Title == "" || p.Remedy == "" && p.Status < http.StatusInternalServerError {
		t.Errorf("%s %s with %q: status %d, %s %s", method, path, body, resp.StatusCode, resp.Header.Get("Content-Type"), data)
	}
	return resp.StatusCode, p
}

// each calls f with each operation, and an address of it in a project.
func (r *rig) each(project string, f func(op *huma.Operation, role, path string)) {
	values := strings.NewReplacer("{project}", project, "{tool}", "t", "{run}", "no-such-run", "{digest}", "sha256:"+strings.Repeat("0", 64), "{secret}", "no-such-secret",
		"{name}", "no-such-name", "{instance}", strings.Repeat("a", 26), "{version}", "1", "{path}", "t.yaml", "{draft}", "no-such-draft")
	for op := range operations(r.api.OpenAPI()) {
		role, _ := op.Metadata[roleKey].(string)
		f(op, role, values.Replace(op.Path))
	}
}

// TestRoles has each role, of the own and of a foreign project, try each operation. Each operation has a role.
func TestRoles(t *testing.T) {
	r := newRig(t)
	seen := 0
	order := append([]string{RoleRunner, RoleAny}, roles...)
	for _, project := range []string{"own", "foreign"} {
		r.each(project, func(op *huma.Operation, needed, path string) {
			seen++
			if !strings.Contains(" "+strings.Join(order, " ")+" ", " "+needed+" ") {
				t.Errorf("%s has no role", op.OperationID)
			}
			if status, p := r.call(t, op.Method, path, "", ""); status != http.StatusUnauthorized || p.Reason != run.CodeUnauthenticated {
				t.Errorf("%s without a token: %d", op.OperationID, status)
			}
			if status, _ := r.call(t, op.Method, path, "mfly_wrong", ""); status != http.StatusUnauthorized {
				t.Errorf("%s with a wrong token: %d", op.OperationID, status)
			}
			for name, token := range r.tokens {
				role, own := strings.CutPrefix(name, "own ")
				// What a role may do is written here once more, by its rank.
				rank := map[string]int{RoleViewer: 1, RoleOperator: 2, RoleAuthor: 3, RoleAdmin: 4}
				may := role == RoleRunner && needed == RoleRunner || rank[role] > 0 && rank[needed] > 0 && rank[role] >= rank[needed]
				if own && needed != RoleRunner && (project != "own" || !strings.Contains(path, "/projects/")) {
					may = false
				}
				if needed == RoleAny {
					may = role != RoleRunner || op.OperationID != "begin-session"
				}
				if role == RoleRunner && needed == RoleRunner && may {
					continue // a stream that doesn't end; TestRunnerRequests tries them
				}
				status, p := r.call(t, op.Method, path, token, "{}")
				if refused := status == http.StatusForbidden && p.Reason == run.CodeForbidden; refused == may {
					t.Errorf("%s of the project %s, by %s: status %d, and it may: %v", op.OperationID, project, name, status, may)
				}
			}
		})
	}
	if seen < 40 {
		t.Errorf("only %d operations were tried", seen)
	}
}

// TestBadInput sends each operation what it can't take: the answer is a problem with a status from 400 on, and never one of the
// server's own failures.
func TestBadInput(t *testing.T) {
	r := newRig(t)
	bodies := []string{
		"", "{", "null", "[]", `"x"`, "17", `{"unknown":1}`, strings.Repeat("[", 100_000), `{"a":"` + strings.Repeat("x", 5<<20) + `"}`, "\x00\xff", `{"tool":17}`,
		`{"bundle":{"definition":"../x","files":[{"path":"/etc/passwd","digest":"x","size":-1}]}}`, `{"digests":["x"]}`, `{"name":"","role":"god"}`,
	}
	r.each("own", func(op *huma.Operation, role, path string) {
		token := r.tokens[RoleAdmin]
		if role == RoleRunner {
			token = r.tokens[RoleRunner]
		}
		for _, body := range bodies {
			status, _ := r.call(t, op.Method, path, token, body)
			if status >= http.StatusInternalServerError || status < http.StatusBadRequest && op.RequestBody != nil {
				t.Errorf("%s takes %.60q: status %d", op.OperationID, body, status)
			}
		}
		for _, odd := range []string{"%00", "%2e%2e%2f", "a%2fb", strings.Repeat("a", 5000), "Ünï", "' OR 1=1 --", "{project}"} {
			wrong := strings.NewReplacer("no-such-run", odd, "no-such-secret", odd, "no-such-name", odd, "no-such-draft", odd, "/t/", "/"+odd+"/", "sha256:"+strings.Repeat("0", 64), odd, "own", odd).Replace(path)
			wrong = strings.ReplaceAll(wrong, " ", "%20")
			if wrong == path {
				continue
			}
			if status, _ := r.call(t, op.Method, wrong, token, "{}"); status < http.StatusBadRequest || status >= http.StatusInternalServerError {
				t.Errorf("%s at %.80s: status %d", op.OperationID, wrong, status)
			}
		}
	})
	if status, p := r.call(t, http.MethodGet, "/api/v1/nothing", r.tokens[RoleAdmin], ""); status != http.StatusNotFound || p.Reason != run.CodeNoSuchThing {
		t.Errorf("an address that isn't there: %d", status)
	}
}

// TestTokenExpires makes tokens with a very long life.
func TestTokenExpires(t *testing.T) {
	r := newRig(t)
	for seconds, want := range map[string]int{
		"0": http.StatusCreated, "3153600000": http.StatusCreated, "3153600001": http.StatusUnprocessableEntity, "9223372037": http.StatusUnprocessableEntity,
	} {
		body := `{"name":"n` + seconds + `","role":"viewer","expires_seconds":` + seconds + `}`
		if status, _ := r.call(t, http.MethodPost, "/api/v1/tokens", r.tokens[RoleAdmin], body); status != want {
			t.Errorf("%s seconds: %d, want %d", seconds, status, want)
		}
	}
	all, err := r.store.Tokens(t.Context(), "", store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if !one.Expires.IsZero() && one.Expires.Before(one.Created.AddDate(99, 0, 0)) {
			t.Errorf("%s expires at %s", one.Name, one.Expires)
		}
	}
}

// TestDescriptionAtOnce has several read the API's description at once, which the race detector watches.
func TestDescriptionAtOnce(t *testing.T) {
	r := newRig(t)
	for _, kind := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				if status := r.status(t, openAPI+kind); status != http.StatusOK {
					t.Errorf("%s: %d", kind, status)
				}
			})
		}
		asking.Wait()
	}
}

// TestForbidden checks that a refusal says what is wrong with the token: its role or its project.
func TestForbidden(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ token, method, path, want string }{
		{"own viewer", http.MethodPost, "/projects/own/runs/a/cancel", "this needs the role operator, and the token viewer has viewer; use a token with that role in this project"},
		{"own admin", http.MethodGet, "/projects/other/runs", "the token admin is for the project own, and this needs a token for the project other; use a token for the project other, or name the token's own project (mayfly … --project own)"},
		{"own admin", http.MethodGet, "/runners", "the token admin is for the project own, and this needs a token for all projects; use a token for all projects"},
		{"own viewer", http.MethodPost, "/projects/other/runs/a/cancel", "this needs the role operator, and the token viewer has viewer; use a token with that role in this project"},
		{"runner", http.MethodGet, "/runners", "this needs the role viewer, and the token runner has runner; use a token with that role in this project"},
	} {
		status, p := r.call(t, c.method, api.Prefix+c.path, r.tokens[c.token], "")
		if status != http.StatusForbidden || p.Detail+"; "+p.Remedy != c.want {
			t.Errorf("%s %s by %s: %d, %+v, want %s", c.method, c.path, c.token, status, p, c.want)
		}
	}
}

// TestRemedies checks that a remedy is about what is wrong: not each request that is refused must be corrected.
func TestRemedies(t *testing.T) {
	r := newRig(t)
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Tool: "t", Kind: "tool", Pool: "other", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	runner := "/runner/r/" + strings.Repeat("i", 26)
	cancel := "/projects/own/runs/a/cancel"
	if status, p := r.call(t, http.MethodPost, api.Prefix+cancel, r.tokens[RoleAdmin], ""); status >= http.StatusBadRequest {
		t.Fatalf("cancel: %+v", p)
	}
	for _, c := range []struct{ token, method, path, body, want string }{
		{RoleAdmin, http.MethodPost, cancel, "", "there is nothing to do; mayfly runs shows how it ended"},
		{RoleAdmin, http.MethodGet, "/projects/own/runs/a/steps", "", "give the id of a workflow's run: mayfly runs"},
		{RoleRunner, http.MethodPost, runner + "/messages", fmt.Sprintf(`{"protocol":%d,"slots":0}`, api.Protocol), "start the runner with --slots from 1 to 10000"},
		{RoleRunner, http.MethodPost, runner + "/messages", `{"protocol":`, "update the runner"},
		{RoleRunner, http.MethodPost, runner + "/messages", "", "update the runner"},
		{RoleRunner, http.MethodPost, runner + "/messages", `{"protocol":"x"}`, "update the runner"},
	} {
		if _, p := r.call(t, c.method, api.Prefix+c.path, r.tokens[c.token], c.body); p == nil || p.Remedy != c.want {
			t.Errorf("%s %s with %q: %+v, want %s", c.method, c.path, c.body, p, c.want)
		}
	}
}

// putIf puts something on a condition, which a header has. It returns the status and the ETag.
func (r *rig) putIf(t *testing.T, path, body, header, value string) (status int, etag string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[RoleAdmin])
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("ETag")
}
