package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestSecretMeanwhile has two people change which tools may use a secret: the second one doesn't overwrite what the first has done.
func TestSecretMeanwhile(t *testing.T) {
	r := newRig(t)
	c, ctx := r.as(t, "own "+RoleAuthor), t.Context()
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
