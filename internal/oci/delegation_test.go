//go:build linux

package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scopeFiles makes files like those of a cgroup v2 that a user's systemd makes.
func scopeFiles(t *testing.T, root, path string, uid int, subtree, procs string) string {
	t.Helper()
	dir := filepath.Join(root, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"cgroup.procs": procs, "cgroup.subtree_control": subtree} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUserScope(t *testing.T) {
	root := t.TempDir()
	scopeFiles(t, root, "user.slice/session-1.scope", 0, "", "")
	scopeFiles(t, root, "user.slice/app.slice/run.scope", 1000, "", "")
	scopeFiles(t, root, "user.slice/app.slice/run.scope/mayfly", 1000, "", "")
	half := scopeFiles(t, root, "user.slice/half.scope", 1000, "", "")
	if err := os.Chown(filepath.Join(half, "cgroup.subtree_control"), 0, 0); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[string]string{
		"/user.slice/app.slice/run.scope":        "/user.slice/app.slice/run.scope",
		"/user.slice/app.slice/run.scope/mayfly": "/user.slice/app.slice/run.scope",
		"/user.slice/session-1.scope":            "", // belongs to root
		"/user.slice/half.scope":                 "", // its controllers belong to root
		"/user.slice/none.scope":                 "",
		"/":                                      "",
	} {
		if got := userScope(root, own, 1000); got != want {
			t.Errorf("%s: got %q, want %q", own, got, want)
		}
	}
}

func TestPrepareScope(t *testing.T) {
	root := t.TempDir()
	ready := scopeFiles(t, root, "ready", 1000, "cpuset cpu io memory pids\n", "42\n")
	if err := prepareScope(ready); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(ready, ownLeaf)); err == nil {
		t.Error("processes of a prepared scope were moved")
	}
	empty := scopeFiles(t, root, "empty", 1000, "cpu pids\n", "")
	if err := prepareScope(empty); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(empty, "cgroup.subtree_control")); err != nil || string(got) != "+memory" {
		t.Errorf("controllers: got %q, %v, want +memory", got, err)
	}
	// The list of processes in a file, unlike the kernel's, doesn't change.
	stuck := scopeFiles(t, root, "stuck", 1000, "", "42\n")
	err := prepareScope(stuck)
	if err == nil || !strings.Contains(err.Error(), "[42]") {
		t.Errorf("got %v, want an error with [42]", err)
	}
	if got, err := os.ReadFile(filepath.Join(stuck, ownLeaf, "cgroup.procs")); err != nil || string(got) != "42" {
		t.Errorf("moved processes: got %q, %v, want 42", got, err)
	}
}
