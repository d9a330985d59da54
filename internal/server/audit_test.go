package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/store"
)

// log returns the whole audit log, which must be a chain.
func (r *rig) log(t *testing.T) []audit.Entry {
	t.Helper()
	all, err := r.store.Entries(t.Context(), store.AuditFilter{Most: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var v audit.Verifier
	for i := range all {
		if err := v.Add(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// since returns what the log has after n entries, each as "ACTOR ACTION PROJECT SUBJECT OUTCOME DETAILS".
func (r *rig) since(t *testing.T, n int) []string {
	t.Helper()
	lines := []string{}
	for _, e := range r.log(t)[n:] {
		if e.Address != "127.0.0.1" && e.Action != "use-secrets" {
			t.Errorf("the address of %+v", e)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %v", e.Actor, e.Action, e.Project, e.Subject, e.Outcome, e.Details))
	}
	return lines
}

// TestAudit has the entry of one request after the other.
func TestAudit(t *testing.T) {
	r := newRig(t)
	zero := "sha256:" + strings.Repeat("0", 64)
	const own = "/api/v1/projects/own"
	for _, c := range []struct {
		name, method, path, token, body string
		want                            string // empty for none
	}{
		{"made", "POST", own + "/tokens", "own admin", `{"name":"ci","role":"viewer"}`, "admin create-project-token own tokens/ci ok map[role:viewer]"},
		{"exists", "POST", own + "/tokens", "own admin", `{"name":"ci","role":"author"}`, "admin create-project-token own tokens/ci already_exists map[role:author]"},
		{"invalid", "POST", own + "/tokens", "own admin", `{"name":"","role":"viewer"}`, "admin create-project-token own tokens invalid_request map[]"},
		{"not JSON", "POST", own + "/tokens", "own admin", `{`, "admin create-project-token own tokens invalid_request map[]"},
		{"may not", "POST", own + "/tokens", "own viewer", `{"name":"x","role":"viewer"}`, "viewer create-project-token own tokens forbidden map[]"},
		{"another project", "GET", "/api/v1/projects/other/runs", "own viewer", "", "viewer list-runs other runs forbidden map[]"},
		{"removed", "DELETE", own + "/tokens/ci", "own admin", "", "admin delete-project-token own tokens/ci ok map[]"},
		{"not there", "DELETE", own + "/tokens/ci", "own admin", "", "admin delete-project-token own tokens/ci no_such_resource map[]"},
		{"wrong token", "GET", own + "/runs", "mfly_wrong", "", " list-runs own runs unauthenticated map[]"},
		{"without a token", "POST", own + "/runs", "", "", " create-run own runs unauthenticated map[]"},
		{"read", "GET", own + "/runs", "own viewer", "", ""},
		{"read what isn't there", "GET", own + "/runs/x", "own viewer", "", ""},
		{"asked", "POST", own + "/contents/missing", "own author", `{"digests":["` + zero + `"]}`, ""},
		{"wrong content", "PUT", own + "/contents/" + zero, "own author", "x", "author put-content own contents/" + zero + " invalid_input map[]"},
		{"no secret", "DELETE", own + "/secrets/a", "own author", "", "author delete-secret own secrets/a no_such_resource map[]"},
		{"all projects", "POST", "/api/v1/keys/rotate", "admin", "", "admin rotate-keys  keys/rotate ok map[]"},
		{"denied to a runner", "POST", "/api/v1/runner/n/" + strings.Repeat("i", 26) + "/reports", "admin", "{}", "admin runner-report  runners/n forbidden map[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(r.log(t))
			token := c.token
			if text, ok := r.tokens[token]; ok {
				token = text
			}
			_, _ = r.call(t, c.method, c.path, token, c.body)
			want := []string{c.want}
			if c.want == "" {
				want = []string{}
			}
			if got := r.since(t, before); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// witness looks at what is written of an answer first.
type witness struct {
	http.ResponseWriter
	first func()
}

func (w *witness) WriteHeader(code int) {
	w.first()
	w.ResponseWriter.WriteHeader(code)
}

// TestRefusalIsAuditedFirst has requests refused: the record is there when the answer begins, with and without a key.
func TestRefusalIsAuditedFirst(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"", "a-key"} {
		t.Run("key "+key, func(t *testing.T) {
			before, found := len(r.log(t)), []string{}
			w := &witness{ResponseWriter: httptest.NewRecorder()}
			w.first = func() { found = r.since(t, before) }
			req := httptest.NewRequest(http.MethodPost, "/api/v1/projects/own/runs", strings.NewReader(`{"tool":"none"}`))
			req.RemoteAddr = "127.0.0.1:1"
			req.Header.Set("Authorization", "Bearer "+r.tokens["own admin"])
			req.Header.Set("Content-Type", "application/json")
			if key != "" {
				req.Header.Set(api.KeyHeader, key)
			}
			r.Handler().ServeHTTP(w, req)
			if want := []string{"admin create-run own runs no_such_resource map[]"}; !slices.Equal(found, want) || !slices.Equal(r.since(t, before), want) {
				t.Errorf("when the answer begins: %q, and afterwards: %q; want %q", found, r.since(t, before), want)
			}
		})
	}
}

// TestAuditOfRuns has a run with a secret accepted, given to a runner, and cancelled.
func TestAuditOfRuns(t *testing.T) {
	r := newRig(t)
	client, err := api.NewClient(api.ClientOptions{Server: r.url, Token: r.tokens["own "+RoleAuthor]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const definition = "name: t\nimage: busybox\nvolumes: [{name: k, secret: key}]\ncommand: [x]\n"
	if err := client.PutContent(t.Context(), "own", digestOfText(definition), strings.NewReader(definition)); err != nil {
		t.Fatal(err)
	}
	bundle := api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digestOfText(definition), Size: int64(len(definition))}}}
	version, err := client.CreateVersion(t.Context(), "own", "t", &api.NewVersion{Bundle: bundle})
	if err != nil {
		t.Fatal(err)
	}
	value := "Y2FuYXJ5"
	if _, err := client.SetSecret(t.Context(), "own", "key", "", &api.SetSecret{Value: &value}); err != nil {
		t.Fatal(err)
	}
	one, err := client.CreateRun(t.Context(), "own", &api.NewRun{Tool: "t"})
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox()
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.pool.connect(holder("default", "build-7", "i"), "default", &api.Hello{Name: "build-7", Slots: 1, Key: box.Recipient()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.pool.claim(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if m := <-l.messages; m.Assign == nil || len(m.Assign.Secrets) == 0 {
		t.Fatalf("got %+v", m)
	}
	if _, err := client.Cancel(t.Context(), "own", one.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetSecret(t.Context(), "own", "key", "", &api.SetSecret{Tools: &[]string{"a", "b"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"author put-content own contents/" + digestOfText(definition) + " ok map[]",
		"author create-version own tools/t ok map[digest:" + version.Digest + "]",
		"author set-secret own secrets/key ok map[value:new]",
		"author create-run own runs/" + one.ID + " ok map[tool:t version:1]",
		" use-secrets own runs/" + one.ID + " ok map[attempt:1 pool:default runner:build-7 secret.key:version 1]",
		"author cancel-run own runs/" + one.ID + " ok map[]",
		"author set-secret own secrets/key ok map[for:a,b]",
	}
	if got := r.since(t, 0); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAuditBegin has an administrator see where the log begins. Those of a project don't.
func TestAuditBegin(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, RoleAdmin), t.Context()
	for range 3 {
		if _, err := c.SetPolicy(ctx, "own", "max: {cpu: 1}", 0); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := c.Audit(ctx, "", api.AuditFilter{}); err != nil || page.Begin != nil {
		t.Errorf("before: %+v, %v", page, err)
	}
	if n, err := r.store.RemoveEntries(ctx, 0, 100); err != nil || n != 2 {
		t.Fatalf("%d are removed, %v", n, err)
	}
	page, err := c.Audit(ctx, "", api.AuditFilter{First: true})
	if err != nil || len(page.Entries) != 2 || page.Begin == nil || page.Begin.Number != 2 || page.Begin.Hash != page.Entries[0].Previous || page.Entries[1].Action != audit.Remove {
		t.Errorf("after: %+v, %v", page, err)
	}
	if page, err := c.Audit(ctx, "own", api.AuditFilter{}); err != nil || page.Begin != nil || len(page.Entries) != 1 {
		t.Errorf("of a project: %+v, %v", page, err)
	}
}

// TestEveryChangeIsAudited: each operation that isn't a GET leaves an entry, except for those that are named here.
func TestEveryChangeIsAudited(t *testing.T) {
	r := newRig(t)
	without := []string{"missing-contents", "validate", "runner-report", "runner-heartbeat"}
	r.each("own", func(op *huma.Operation, role, path string) {
		if op.Method == http.MethodGet {
			return
		}
		before := len(r.log(t))
		token := r.tokens[RoleAdmin]
		if role == RoleRunner {
			token = r.tokens[RoleRunner]
		}
		_, _ = r.call(t, op.Method, path, token, "{")
		if got := r.since(t, before); len(got) != 1 != slices.Contains(without, op.OperationID) {
			t.Errorf("%s: %q", op.OperationID, got)
		}
	})
}

// TestListAudit reads the log through the API, in pages from both ends.
func TestListAudit(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/v1/projects/own/runs/a/cancel", "/api/v1/projects/other/runs/b/cancel", "/api/v1/projects/own/runs/c/cancel"} {
		_, _ = r.call(t, "POST", path, r.tokens[RoleAdmin], "")
	}
	_, _ = r.call(t, "POST", "/api/v1/projects/own/runs/d/cancel", r.tokens[RoleOperator], "")
	client, err := api.NewClient(api.ClientOptions{Server: r.url, Token: r.tokens[RoleAdmin]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	whole := r.log(t)
	for name, c := range map[string]struct {
		project string
		f       api.AuditFilter
		want    string
	}{
		"latest":     {"", api.AuditFilter{Limit: 3}, "[[4 3 2] [1]]"},
		"first":      {"", api.AuditFilter{Limit: 2, First: true}, "[[1 2] [3 4]]"},
		"project":    {"own", api.AuditFilter{}, "[[4 3 1]]"},
		"actor":      {"", api.AuditFilter{Actor: "operator"}, "[[4]]"},
		"action":     {"", api.AuditFilter{Action: "create-run"}, "[[]]"},
		"since":      {"", api.AuditFilter{Since: whole[0].Time}, "[[4 3 2 1]]"},
		"from later": {"", api.AuditFilter{Since: whole[3].Time.AddDate(1, 0, 0)}, "[[]]"},
	} {
		t.Run(name, func(t *testing.T) {
			var pages [][]int64
			for more := true; more; {
				page, err := client.Audit(t.Context(), c.project, c.f)
				if err != nil {
					t.Fatal(err)
				}
				if (page.Head == nil) != (c.project != "") || page.Head != nil && *page.Head != whole[3].Head() {
					t.Errorf("the head is %+v", page.Head)
				}
				var numbers []int64
				for _, e := range page.Entries {
					numbers = append(numbers, e.Number)
					if e.Hash != whole[e.Number-1].Hash {
						t.Errorf("entry %+v", e)
					}
				}
				pages = append(pages, numbers)
				c.f.Cursor = page.Next
				more = page.Next != ""
			}
			if got := fmt.Sprint(pages); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if status, p := r.call(t, "GET", "/api/v1/audit?cursor=x", r.tokens[RoleAdmin], ""); status != http.StatusUnprocessableEntity || p.Reason != run.CodeInvalidRequest {
		t.Errorf("a wrong cursor: %d", status)
	}
}

func digestOfText(text string) string { return archive.Digest([]byte(text)) }
