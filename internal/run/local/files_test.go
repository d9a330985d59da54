package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestFilesComeAlong: a packed tool runs without its folder, and its unpacked files are removed after the run.
func TestFilesComeAlong(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	store := content.Store(t.TempDir())
	s := newSession(map[string]fake.Program{"go": func(p *fake.Process) int {
		data, err := p.ReadFile("/conf/one.txt")
		if err != nil || string(data) != "one" {
			t.Errorf("%q, %v", data, err)
		}
		return 0
	}})
	s.runner.Content = store
	req := s.request(t, "image: i\n"+goTool+"\nvolumes: [{name: conf, file: conf, mount_path: /conf}]")
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "conf", "one.txt"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := req.Tool.Pack(t.Context(), store); err == nil || !strings.Contains(err.Error(), "volume conf: the definition isn't in a file") {
		t.Errorf("without a folder: %v", err)
	}
	req.Tool.Source.Dir = folder
	if err := req.Tool.Pack(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if r, err := s.runner.Run(t.Context(), req, s.opts.Watch); err != nil || r.Status != run.Succeeded {
		t.Fatalf("%+v, %v", r, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}

	req.Tool.Source.Files = "sha256:" + strings.Repeat("0", 64)
	if r, err := s.runner.Run(t.Context(), req, s.opts.Watch); err == nil || r.Status != run.Error || !strings.Contains(r.Reason, "unpack the tool's files: ") {
		t.Errorf("files that nobody has: %+v, %v", r, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
