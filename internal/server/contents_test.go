package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestContentsOfProjects has an author name the content of another project: nothing tells that it is there, until the author has sent the same bytes.
func TestContentsOfProjects(t *testing.T) {
	r := newRig(t)
	admin, author := r.client(t, RoleAdmin), r.client(t, "own "+RoleAuthor)
	ctx := t.Context()
	const text, never = "image: busybox\ncommand: [echo, theirs]\n", "image: busybox\ncommand: [echo, nobody's]\n"
	theirs, nobodys := digestOfText(text), digestOfText(never)
	if err := admin.PutContent(ctx, "theirs", theirs, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	bundle := func(digest string, size int) string {
		return fmt.Sprintf(`{"definition":"t.yaml","files":[{"path":"t.yaml","digest":%q,"size":%d}]}`, digest, size)
	}
	requests := []struct{ name, method, path, body string }{
		{"a draft", "PUT", "/drafts/d", "%s"},
		{"a version", "POST", "/tools/t/versions", "%s"},
		{"a check", "POST", "/tools/validate", "%s"},
		{"a run", "POST", "/runs", `{"bundle":%s}`},
		{"a run of tests", "POST", "/runs", `{"bundle":%s,"test":{"file":"t.yaml"}}`},
	}
	send := func(path, method, body string) string {
		status, p := r.call(t, method, "/api/v1/projects/own"+path, r.tokens["own "+RoleAuthor], body)
		if p == nil {
			return fmt.Sprint(status)
		}
		return fmt.Sprint(status, " ", p.Reason, " ", p.Detail, p.Errors)
	}
	for _, one := range requests {
		got := send(one.path, one.method, fmt.Sprintf(one.body, bundle(theirs, len(text))))
		want := strings.ReplaceAll(send(one.path, one.method, fmt.Sprintf(one.body, bundle(nobodys, len(text)))), nobodys, theirs)
		if got != want || !strings.HasPrefix(got, "422 ") || !strings.Contains(got, "was not sent") {
			t.Errorf("%s of another project's content is %s, and of nobody's %s", one.name, got, want)
		}
	}
	missing := func(project string, c *api.Client, digests ...string) string {
		t.Helper()
		got, err := c.Missing(ctx, project, digests)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got)
	}
	if got := missing("own", author, theirs, nobodys); got != fmt.Sprint([]string{theirs, nobodys}) {
		t.Errorf("the project lacks %s", got)
	}
	if got := missing("theirs", admin, theirs, nobodys); got != fmt.Sprint([]string{nobodys}) {
		t.Errorf("theirs lacks %s", got)
	}
	if err := author.PutContent(ctx, "own", theirs, strings.NewReader("guessed")); err == nil {
		t.Error("other bytes are taken for the content")
	}
	if got := missing("own", author, theirs); got != fmt.Sprint([]string{theirs}) {
		t.Errorf("after other bytes, the project lacks %s", got)
	}
	if err := author.PutContent(ctx, "own", theirs, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if got := missing("own", author, theirs); got != "[]" {
		t.Errorf("after it was sent, the project lacks %s", got)
	}
	for _, one := range requests[:4] {
		if got := send(one.path, one.method, fmt.Sprintf(one.body, bundle(theirs, len(text)))); got != fmt.Sprint(http.StatusOK) && got != fmt.Sprint(http.StatusCreated) {
			t.Errorf("after it was sent, %s is %s", one.name, got)
		}
	}
}
