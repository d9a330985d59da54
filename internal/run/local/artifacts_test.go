package local

import (
	"context"
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

// TestArtifacts: the artifacts of a succeeded run are stored under their digests, and nothing else is left.
func TestArtifacts(t *testing.T) {
	dir := content.Store(filepath.Join(t.TempDir(), "artifacts"))
	makes := func(text string, code int, e engine.Engine) *run.Result {
		s := newSession(map[string]fake.Program{"go": func(p *fake.Process) int {
			if err := p.WriteFile("/artifacts/out/f", []byte(text)); err != nil {
				t.Error(err)
			}
			return code
		}})
		s.req.ID, s.runner.Content = "an-id", dir
		if e != nil {
			s.runner.Engine = e
		}
		req := s.request(t, "image: i\n"+goTool)
		req.Artifacts = []run.Artifact{{Name: "out", Target: "/artifacts/out", Made: true}}
		result, _ := s.runner.Run(t.Context(), req, s.opts.Watch)
		return result
	}
	if r := makes("x", 1, nil); r.Status != run.Failed || r.Artifacts != nil {
		t.Errorf("a failure: %s %v", r.Status, r.Artifacts)
	}
	if left, err := os.ReadDir(string(dir)); err == nil && len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	digest := ""
	for range 2 { // equal artifacts have equal digests
		r := makes("x", 0, nil)
		if r.Status != run.Succeeded || r.Artifacts["out"] == "" || digest != "" && r.Artifacts["out"] != digest {
			t.Errorf("%s %s %v", r.Status, r.Reason, r.Artifacts)
		}
		digest = r.Artifacts["out"]
	}
	if left, err := os.ReadDir(string(dir)); err != nil || len(left) != 1 || left[0].Name() != strings.TrimPrefix(digest, "sha256:")+".tar" {
		t.Errorf("left %v, %v", left, err)
	}
	forgets := forgetful{&fake.Engine{Programs: map[string]fake.Program{"go": func(*fake.Process) int { return 0 }}}}
	if r := makes("", 0, forgets); r.Status != run.Error || !strings.Contains(r.Reason, "artifact out: ") {
		t.Errorf("no artifact was made: got %s %s, want an error", r.Status, r.Reason)
	}

	// A run gets an artifact from the store.
	r := &Runner{Places: Places{Content: dir}}
	req := &run.Request{ID: "other", Tool: parseTool(t, "image: i\n"+goTool), Artifacts: []run.Artifact{{Name: "out", Target: "/in", Digest: digest}}}
	find := func(ref string) (*image.Image, error) { return &image.Image{Reference: ref}, nil }
	p, err := r.Prepare("other", req, find)
	if err != nil || p.Spec.Mounts[0].Kind != engine.MountHanded || p.Local.Folders[p.Spec.Mounts[0].Folder] != string(dir) || p.Spec.Mounts[0].Path+".tar" != strings.TrimPrefix(digest, "sha256:")+".tar" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, wrong := range []string{"", "sha256:../../etc", "sha256:abcd", "sha512:" + digest[7:], strings.ToUpper(digest), "sha256:" + strings.ToUpper(digest[7:])} {
		req.Artifacts[0].Digest = wrong
		if _, err := r.Prepare("other", req, find); err == nil || !strings.Contains(err.Error(), "is not a digest") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// forgetful is an engine that doesn't save artifacts.
type forgetful struct{ engine.Engine }

func (f forgetful) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	without := *spec
	without.Mounts = nil
	return f.Engine.Start(ctx, &without, local, streams)
}
