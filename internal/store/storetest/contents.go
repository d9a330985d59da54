package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func contents(t *testing.T, s Store) {
	ctx := t.Context()
	has := func(project string, digests ...string) string {
		t.Helper()
		got, err := s.Contents(ctx, project, digests)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for digest, is := range got {
			all = append(all, fmt.Sprint(digest, is))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	add := func(project string, digests ...string) {
		t.Helper()
		if err := s.AddContents(ctx, project, digests); err != nil {
			t.Fatal(err)
		}
	}
	add("p", "b", "a", "a", `q"'`)
	add("p", "a", "c")
	add("q", "a")
	add("q")
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprint("many", i))
	}
	add("r", many...)
	for _, c := range []struct {
		project string
		asked   []string
		want    string
	}{
		{"p", []string{"a", "b", "c", "d", "a", `q"'`}, `atrue btrue ctrue q"'true`},
		{"p", []string{"d"}, ""},
		{"p", nil, ""},
		{"q", []string{"a", "b", "c"}, "atrue"},
		{"", []string{"a"}, ""},
		{"r", []string{"a", "many9999"}, "many9999true"},
	} {
		if got := has(c.project, c.asked...); got != c.want {
			t.Errorf("%s has of %q %s, want %s", c.project, c.asked, got, c.want)
		}
	}
	if got, err := s.Contents(ctx, "r", many); err != nil || len(got) != len(many) {
		t.Errorf("there are %d, %v", len(got), err)
	}
	for range 2 {
		if err := s.ForgetContent(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := has("p", "a", "b") + has("q", "a"); got != "btrue" {
		t.Errorf("afterwards there is %s", got)
	}
	add("q", "a")
	if got := has("p", "a") + has("q", "a"); got != "atrue" {
		t.Errorf("after it was sent to another project again, there is %s", got)
	}
}
