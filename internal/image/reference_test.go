package image

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSpellings(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	onHub := func(tail string) []string {
		var all []string
		for _, repository := range []string{"index.docker.io/library/x", "index.docker.io/x", "docker.io/library/x", "docker.io/x", "library/x", "x"} {
			all = append(all, repository+tail)
		}
		return all
	}
	for ref, want := range map[string][]string{
		"x":                     append(onHub(""), onHub(":latest")...),
		"docker.io/x:1":         onHub(":1"),
		"library/x:1":           onHub(":1"),
		"x" + digest:            onHub(digest),
		"x:1" + digest:          append(onHub(digest), onHub(":1"+digest)...),
		"team/x:1":              {"index.docker.io/team/x:1", "docker.io/team/x:1", "team/x:1"},
		"r.example/x:1":         {"r.example/x:1"},
		"localhost:5/x":         {"localhost:5/x", "localhost:5/x:latest"},
		"r.example/library/x:1": {"r.example/library/x:1"},
		// The part before the first slash is a registry if it looks like one.
		"docker.io/r.example/x:1": {"index.docker.io/r.example/x:1", "docker.io/r.example/x:1"},
		"docker.io/localhost/x:1": {"index.docker.io/localhost/x:1", "docker.io/localhost/x:1"},
		"library/library/x:1":     {"index.docker.io/library/library/x:1", "docker.io/library/library/x:1", "library/library/x:1"},
	} {
		got, err := Spellings(ref)
		full, fullErr := Canonical(ref)
		if err != nil || fullErr != nil || got[0] != full {
			t.Errorf("%s: %v, %v, %v", ref, got, err, fullErr)
			continue
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

// TestM05_RepositoriesAreNoPaths checks that a name is invalid if a registry, or a server before it, could read it as another.
func TestM05_RepositoriesAreNoPaths(t *testing.T) {
	for _, ref := range []string{
		"r.example/tools/../other/x", "r.example/./x", "r.example/tools//x", "r.example/tools/", "a/..", "a/...", "r.example/-x", "r.example/x_/y", "r.example/x.",
	} {
		for _, tail := range []string{"", ":1", "@sha256:" + strings.Repeat("a", 64)} {
			if _, err := Canonical(ref + tail); !errors.Is(err, ErrReference) {
				t.Errorf("%s: %v", ref+tail, err)
			}
			if _, err := Spellings(ref + tail); !errors.Is(err, ErrReference) {
				t.Errorf("spellings of %s: %v", ref+tail, err)
			}
		}
	}
	for _, ref := range []string{"r.example/a.b/c__d/e--f", "r.example/a/b/c/d/e:1", "0/1"} {
		if _, err := Canonical(ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
