package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestHome: the folder that is named, even a relative one; otherwise root's, whatever its session says.
func TestHome(t *testing.T) {
	t.Chdir(t.TempDir())
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	for named, want := range map[string]string{"/some/where": "/some/where", "here": filepath.Join(cwd, "here")} {
		t.Setenv("MAYFLY_HOME", named)
		if got, err := home(); got != want || err != nil {
			t.Errorf("MAYFLY_HOME=%s: got %q, %v, want %q", named, got, err, want)
		}
	}
	t.Setenv("MAYFLY_HOME", "")
	want := "/data/mayfly"
	if os.Geteuid() == 0 {
		want = "/var/lib/mayfly"
	}
	if got, err := home(); got != want || err != nil {
		t.Errorf("without MAYFLY_HOME: got %q, %v, want %q", got, err, want)
	}
}

// TestLoadPolicy: a policy that is named must exist.
func TestLoadPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	t.Setenv(policyVariable, file)
	if _, err := loadPolicy(); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "MAYFLY_POLICY: ") {
		t.Errorf("one that doesn't exist: got %v", err)
	}
	if err := os.WriteFile(file, []byte("images: [registry.example.com/*]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := loadPolicy()
	if err != nil || p.Path() != file {
		t.Fatalf("got %v, %v", p, err)
	}
	checks := checkPolicy()
	if len(checks) < 2 || checks[0].Detail != file {
		t.Errorf("got %+v, want the file and what it allows", checks)
	}
}

// TestDropNamedCaches: the caches of a tool's name alone are gone after one run, which says so.
func TestDropNamedCaches(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a-tool", "old.tar")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r := &local.Runner{Places: local.Places{Caches: dir}}
	var notices []string
	for range 2 {
		DropNamedCaches(r, &tool.Tool{Name: "a-tool", Volumes: []tool.Volume{{Cache: "old"}}}, func(text string) { notices = append(notices, text) })
	}
	if len(notices) != 1 || !strings.HasPrefix(notices[0], "the cache old of tool a-tool is dropped: ") {
		t.Errorf("got %q, want one notice", notices)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache: %v", err)
	}
}

// TestImageNames: what is understood in a name, and its repository.
func TestImageNames(t *testing.T) {
	for _, tt := range []struct{ ref, familiar, untagged string }{
		{"docker.io/library/busybox:latest", "busybox", "busybox"},
		{"docker.io/alpine/curl:8", "alpine/curl:8", "alpine/curl"},
		{"localhost:5000/a", "localhost:5000/a", "localhost:5000/a"},
		{"localhost:5000/a:1@sha256:00", "localhost:5000/a:1@sha256:00", "localhost:5000/a"},
	} {
		if got := familiar(tt.ref); got != tt.familiar {
			t.Errorf("familiar(%q): got %q, want %q", tt.ref, got, tt.familiar)
		}
		if got := untagged(familiar(tt.ref)); got != tt.untagged {
			t.Errorf("untagged of %q: got %q, want %q", tt.ref, got, tt.untagged)
		}
	}
}
