package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestHomeOf: a user whose home can't be made writable gets root's.
func TestHomeOf(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "home/there"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"proc7": "/proc/self/fd/7", "loop": "/loop", "there": "/home/there"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for home, want := range map[string]string{
		"/home/there": "/home/there", "/home/new": "/home/new", "/there": "/there", "/tmp": "/tmp", "/dev/shm/h": "/dev/shm/h", "/home/there/": "/home/there",
		"": rootHome, "/": rootHome, "x": rootHome, "/nonexistent": rootHome, "/dev/null": rootHome, "/dev": rootHome, "/proc": rootHome,
		"/sys/fs": rootHome, "/proc7": rootHome, "/loop": rootHome, "/file": rootHome, "/file/x": rootHome,
	} {
		r := &rootfs{root: root, user: identity{home: home}}
		if got := r.homeOf(&engine.Spec{}); got != want {
			t.Errorf("home %q in passwd: got %s, want %s", home, got, want)
		}
		r.user.home = "/other"
		if got := r.homeOf(&engine.Spec{Environment: []engine.Variable{{Name: "HOME", Value: home}}}); got != want {
			t.Errorf("HOME=%q: got %s, want %s", home, got, want)
		}
	}
}
