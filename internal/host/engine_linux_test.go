package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/oci"
)

// TestRuntimeDirsAreTheUsersOwn: a user's runs are where no one else can make anything, and every session of the user finds them.
func TestRuntimeDirsAreTheUsersOwn(t *testing.T) {
	home := t.TempDir()
	lasting := filepath.Join(home, "run")
	own, open, link, foreign := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "open"), filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "foreign")
	for dir, mode := range map[string]os.FileMode{own: 0o700, open: 0o777, foreign: 0o700} {
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 65534, 65534); err != nil {
		t.Fatal(err) // this package's tests are root's
	}
	t.Setenv("TMPDIR", t.TempDir())
	for session, want := range map[string][]string{
		own:                           {filepath.Join(own, "mayfly"), lasting},
		"":                            {lasting}, // this user has no /run/user/UID
		open:                          {lasting},
		link:                          {lasting},
		foreign:                       {lasting},
		filepath.Join(own, "missing"): {lasting},
		"relative":                    {lasting},
	} {
		t.Setenv("XDG_RUNTIME_DIR", session)
		if got := runtimeDirs(&oci.Rootless{UID: 999_999_999}, home); !slices.Equal(got, want) {
			t.Errorf("XDG_RUNTIME_DIR=%s: %q, want %q", session, got, want)
		}
	}
}
