package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func versions(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.Version(ctx, "p", "t", 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a tool that isn't there: %v", err)
	}
	add := func(project, tool, digest string) (store.Version, bool) {
		v, made, err := s.AddVersion(ctx, store.Version{Project: project, Tool: tool, Kind: "tool", Digest: digest, Manifest: []byte(digest), Note: "n", Description: "d", CreatedBy: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		return v, made
	}
	if v, made := add("p", "t", "one"); v.Version != 1 || !made || v.Created.IsZero() {
		t.Errorf("the first version is %+v, made %v", v, made)
	}
	if v, made := add("p", "t", "one"); v.Version != 1 || made {
		t.Errorf("the same files are version %d, made %v, want the first again", v.Version, made)
	}
	if v, _ := add("p", "t", "two"); v.Version != 2 {
		t.Errorf("other files are version %d, want 2", v.Version)
	}
	if v, made := add("p", "t", "one"); v.Version != 3 || !made {
		t.Errorf("the files of version 1 again are version %d, made %v, want 3", v.Version, made)
	}
	add("p", "u", "x")
	add("p", "U", "x") // names sort as bytes
	add("q", "t", "y")
	if v, err := s.Version(ctx, "p", "t", 2); err != nil || v.Digest != "two" || string(v.Manifest) != "two" || v.CreatedBy != "ada" {
		t.Errorf("version 2 is %+v, %v", v, err)
	}
	if v, err := s.Version(ctx, "p", "t", 0); err != nil || v.Version != 3 {
		t.Errorf("the latest version is %+v, %v", v, err)
	}
	if _, err := s.Version(ctx, "p", "t", 4); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a version that isn't there: %v", err)
	}
	all, err := s.Versions(ctx, "p", "t", 0, 0)
	if err != nil || len(all) != 3 || all[0].Version != 3 {
		t.Errorf("versions %+v, %v", all, err)
	}
	tools, err := s.Tools(ctx, "p", store.Page{})
	if err != nil || len(tools) != 3 || tools[0].Tool != "U" || tools[1].Tool != "t" || tools[1].Version != 3 || tools[2].Tool != "u" {
		t.Errorf("tools %+v, %v", tools, err)
	}
}

// fillLists makes a tool, a token and a secret of each name in two projects, and as many versions of the tool v in p, whose numbers it returns.
func fillLists(t *testing.T, s Store, names []string) (versions []string) {
	t.Helper()
	for i, name := range names {
		for _, project := range []string{"p", "other"} {
			if _, _, err := s.AddVersion(t.Context(), store.Version{Project: project, Tool: name, Kind: "tool", Digest: "d", Manifest: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
			if err := s.AddToken(t.Context(), store.Token{Hash: []byte(project + name), Project: project, Name: name, Role: "viewer"}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.SetSecret(t.Context(), store.Secret{Project: project, Name: name}, nil, func(int, time.Time) ([]byte, error) { return []byte("x"), nil }); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.AddVersion(t.Context(), store.Version{Project: "p", Tool: "v", Kind: "tool", Digest: fmt.Sprint(i), Manifest: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		versions = append([]string{fmt.Sprint(i + 1)}, versions...)
	}
	return versions
}

// pages reads lists in pages: each has everything once, in order, and a page after the end is empty.
func pages(t *testing.T, s Store) {
	names := []string{"B", "a", "a.b", "z1", "z2"} // in the order of their bytes
	versions := fillLists(t, s, names)
	for name, c := range map[string]struct {
		want []string
		page func(p store.Page) ([]string, error)
	}{
		"tools": {slices.Sorted(slices.Values(append([]string{"v"}, names...))), func(p store.Page) (out []string, err error) {
			all, err := s.Tools(t.Context(), "p", p)
			for _, one := range all {
				out = append(out, one.Tool)
			}
			return out, err
		}},
		"tokens": {names, func(p store.Page) (out []string, err error) {
			all, err := s.Tokens(t.Context(), "p", p)
			for _, one := range all {
				out = append(out, one.Name)
			}
			return out, err
		}},
		"secrets": {names, func(p store.Page) (out []string, err error) {
			all, err := s.Secrets(t.Context(), "p", p)
			for _, one := range all {
				out = append(out, one.Name)
			}
			return out, err
		}},
		"versions": {versions, func(p store.Page) (out []string, err error) {
			before, _ := strconv.Atoi(p.After) // 0 of ""
			all, err := s.Versions(t.Context(), "p", "v", before, p.Most)
			for _, one := range all {
				out = append(out, strconv.Itoa(one.Version))
			}
			return out, err
		}},
	} {
		for most := range len(c.want) + 2 {
			if all := inPages(t, most, len(c.want), c.page); !slices.Equal(all, c.want) {
				t.Errorf("%s, %d a page: %q, want %q", name, most, all, c.want)
			}
		}
	}
}

// inPages reads a list in pages until it has so many items, or one is empty.
func inPages(t *testing.T, most, items int, page func(p store.Page) ([]string, error)) (all []string) {
	t.Helper()
	last := ""
	for len(all) < items {
		one, err := page(store.Page{After: last, Most: most})
		if err != nil || most > 0 && len(one) > most {
			t.Fatalf("%d a page: %q, %v", most, one, err)
		}
		if len(one) == 0 {
			return all
		}
		all, last = append(all, one...), one[len(one)-1]
	}
	if one, err := page(store.Page{After: last, Most: most}); last != "1" && (err != nil || len(one) > 0) { // before version 0 are all
		t.Errorf("after the last of %d a page: %q, %v", most, one, err)
	}
	return all
}
