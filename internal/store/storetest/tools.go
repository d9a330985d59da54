package storetest

import (
	"errors"
	"testing"

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
	all, err := s.Versions(ctx, "p", "t")
	if err != nil || len(all) != 3 || all[0].Version != 3 {
		t.Errorf("versions %+v, %v", all, err)
	}
	tools, err := s.Tools(ctx, "p")
	if err != nil || len(tools) != 3 || tools[0].Tool != "U" || tools[1].Tool != "t" || tools[1].Version != 3 || tools[2].Tool != "u" {
		t.Errorf("tools %+v, %v", tools, err)
	}
}
