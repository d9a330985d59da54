package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestSecretMeanwhile has two people change which tools may use a secret: the second one doesn't overwrite what the first has done.
func TestSecretMeanwhile(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, "own "+RoleAuthor), t.Context()
	value := "eHg="
	seen, err := c.SetSecret(ctx, "own", "key", "", &api.SetSecret{Value: &value})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.SetSecret(ctx, "own", "key", seen.ETag, &api.SetSecret{Tools: &[]string{"a"}})
	if err != nil || first.ETag == seen.ETag || first.Version != seen.Version {
		t.Fatalf("the first: %+v, %v, after %+v", first, err, seen)
	}
	for _, n := range []*api.SetSecret{{Tools: &[]string{"b"}}, {Value: &value}, {Value: &value, Tools: &[]string{}}} {
		_, err = c.SetSecret(ctx, "own", "key", seen.ETag, n)
		denied(t, err, http.StatusPreconditionFailed, run.CodeChanged, "the secret key isn't the one that the request names: it was changed meanwhile")
	}
	all, err := c.Secrets(ctx, "own")
	if err != nil || len(all) != 1 || all[0].ETag != first.ETag || !slices.Equal(all[0].Tools, []string{"a"}) {
		t.Fatalf("%+v, %v", all, err)
	}
	second, err := c.SetSecret(ctx, "own", "key", first.ETag, &api.SetSecret{Value: &value, Tools: &[]string{"a", "b"}})
	if err != nil || second.Version != 2 {
		t.Errorf("the second, when it has seen it: %+v, %v", second, err)
	}
	for header, want := range map[string]int{
		"key If-Match: *": 200, "none If-Match: *": 412, "key If-Match: x": 412, "key If-None-Match: *": 412, "new If-None-Match: *": 200, "key If-None-Match: x": 422,
	} {
		name, header, _ := strings.Cut(header, " ")
		key, condition, _ := strings.Cut(header, ": ")
		status, etag := r.putIf(t, "/api/v1/projects/own/secrets/"+name, `{"value":"eHg="}`, key, condition)
		if status != want || want == 200 && !strings.HasPrefix(etag, `"`) {
			t.Errorf("%s %s: status %d, ETag %s", name, header, status, etag)
		}
	}
}

// TestRemoveSecretAsSeen has someone remove a secret that was set again meanwhile.
func TestRemoveSecretAsSeen(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	set := func() string {
		t.Helper()
		one, err := c.SetSecret(t.Context(), "own", "key", "", &api.SetSecret{Value: new("eHg=")})
		if err != nil {
			t.Fatal(err)
		}
		return one.ETag
	}
	seen := set()
	now := set()
	for _, c := range []struct {
		name, tag string
		want      int
	}{{"key", seen, http.StatusPreconditionFailed}, {"none", now, http.StatusNotFound}, {"key", now, http.StatusNoContent}, {"key", now, http.StatusNotFound}} {
		v, body := r.browse(t, browsed{
			method: http.MethodDelete, path: "/projects/own/secrets/" + c.name, token: r.tokens[RoleAdmin], header: map[string]string{"If-Match": strconv.Quote(c.tag)},
		})
		if v.StatusCode != c.want {
			t.Errorf("%+v: %d %s", c, v.StatusCode, body)
		}
	}
}

// TestSecretHistory reads a secret with who has set it and which run had it. No value is in the answer.
func TestSecretHistory(t *testing.T) {
	r := newRig(t)
	c := r.client(t, "own author")
	for range 2 {
		if _, err := c.SetSecret(t.Context(), "own", "db", "", &api.SetSecret{Value: new("Y2FuYXJ5")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.store.Accept(t.Context(), store.NewRun{ID: "a", Project: "own", Tool: "t", Pool: "other", Request: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.store.UsedSecrets(t.Context(), "own", []string{"db"}, "a"); err != nil {
		t.Fatal(err)
	}
	one, err := r.client(t, "own viewer").Secret(t.Context(), "own", "db")
	if err != nil || one.Name != "db" || one.Version != 2 || one.ETag == "" || len(one.Versions) != 2 || one.Versions[1].Version != 1 || one.Versions[0].SetBy != "author" ||
		len(one.Uses) != 1 || one.Uses[0].Run != "a" || one.Uses[0].Tool != "t" || one.Uses[0].Version != 2 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, body := r.browse(t, browsed{method: "GET", path: "/projects/own/secrets/db", token: r.tokens["own viewer"]}); strings.Contains(body, "canary") || strings.Contains(body, "Y2FuYXJ5") {
		t.Errorf("the answer has the value: %s", body)
	}
	page, err := r.client(t, RoleAdmin).Audit(t.Context(), "own", api.AuditFilter{Subject: "secrets/db"})
	if err != nil || len(page.Entries) != 2 || page.Entries[0].Action != "set-secret" {
		t.Errorf("the audit log about it: %+v, %v", page, err)
	}
	if page, err := r.client(t, RoleAdmin).Audit(t.Context(), "own", api.AuditFilter{Subject: "secrets/d"}); err != nil || len(page.Entries) != 0 {
		t.Errorf("the audit log about another one: %+v, %v", page, err)
	}
}
