package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestArtifacts: what a run makes is kept under its digest, once it has succeeded, and nothing else is left.
func TestArtifacts(t *testing.T) {
	const digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	dir := content.Store(filepath.Join(t.TempDir(), "artifacts"))
	makes := func(content string, code int) *run.Result {
		var s *session
		s = newSession(map[string]fake.Program{"go": func(*fake.Process) int {
			if content == "" {
				return code
			}
			if err := os.MkdirAll(making(dir, s.req.ID), 0o700); err != nil { // as the shim does
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(making(dir, s.req.ID), "out.tar"), []byte(content), 0o600); err != nil {
				t.Error(err)
			}
			return code
		}})
		s.req.ID, s.runner.Content = "an-id", dir
		req := s.request(t, "image: i\n"+goTool)
		req.Artifacts = []run.Artifact{{Name: "out", Target: "/artifacts/out", Made: true}}
		result, _ := s.runner.Run(t.Context(), req, s.opts.Watch)
		return result
	}
	if r := makes("x", 1); r.Status != run.Failed || r.Artifacts != nil {
		t.Errorf("a failure: %s %v", r.Status, r.Artifacts)
	}
	if left, err := os.ReadDir(string(dir)); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	for range 2 { // the same again is the same
		if r := makes("x", 0); r.Status != run.Succeeded || r.Artifacts["out"] != digest {
			t.Errorf("%s %s %v", r.Status, r.Reason, r.Artifacts)
		}
	}
	if left, err := os.ReadDir(string(dir)); err != nil || len(left) != 1 || left[0].Name() != strings.TrimPrefix(digest, "sha256:")+".tar" {
		t.Errorf("left %v, %v", left, err)
	}
	if r := makes("", 0); r.Status != run.Error || !strings.Contains(r.Reason, "artifact out: ") {
		t.Errorf("none was made: %s %s", r.Status, r.Reason)
	}

	// Where a run gets one from.
	r := &Runner{Places: Places{Content: dir}}
	req := &run.Request{ID: "other", Tool: parseTool(t, "image: i\n"+goTool), Artifacts: []run.Artifact{{Name: "out", Target: "/in", Digest: digest}}}
	find := func(ref string) (*image.Image, error) { return &image.Image{Reference: ref}, nil }
	p, err := r.Prepare("other", req, find)
	if err != nil || p.Spec.Mounts[0].Kind != engine.MountHanded || p.Local.Folders[p.Spec.Mounts[0].Folder] != string(dir) || p.Spec.Mounts[0].Path+".tar" != strings.TrimPrefix(digest, "sha256:")+".tar" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, wrong := range []string{"", "sha256:../../etc", "sha256:abcd", "sha512:" + digest[7:], strings.ToUpper(digest), "sha256:" + strings.ToUpper(digest[7:])} {
		req.Artifacts[0].Digest = wrong
		if _, err := r.Prepare("other", req, find); err == nil || !strings.Contains(err.Error(), "is not the digest of a tree of files") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
