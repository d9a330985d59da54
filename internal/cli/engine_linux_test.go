package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/oci"
)

// A user's runs are where nobody else can make anything, and are found by every session of the user's.
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

// TestI23_TheVariableIsRefusedByEveryCommand: the variable of the user namespace means nothing outside of it.
func TestI23_TheVariableIsRefusedByEveryCommand(t *testing.T) {
	t.Setenv("MAYFLY_HOME", t.TempDir()) // for where it isn't refused
	t.Setenv("MAYFLY_ROOTLESS", "1000:65536:")
	all := [][]string{{}, {"--version"}, {"--help"}, {"run", "--help"}, {"doctor", "--delegate", "no-such-user"}, {"no-such-command"}}
	var add func(c *cobra.Command, path []string)
	add = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			at := append(slices.Clone(path), sub.Name())
			all = append(all, at)
			add(sub, at)
		}
	}
	add(newRoot(streams{}), nil)
	if len(all) < 20 {
		t.Fatalf("there are only %q", all)
	}
	for _, args := range all {
		var out, errOut bytes.Buffer
		if status := Main(t.Context(), args, strings.NewReader(""), &out, &errOut); status != statusFailure || out.Len() > 0 || !strings.Contains(errOut.String(), "unset MAYFLY_ROOTLESS") {
			t.Errorf("mayfly %q: status %d, %q, %q", args, status, &out, &errOut)
		}
	}
}
