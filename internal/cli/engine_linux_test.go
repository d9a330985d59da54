package cli

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/oci"
)

// A user's runs are found by every session of the user's.
func TestRuntimeDirIsTheSameForAllOfAUser(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if got := runtimeDir(&oci.Rootless{UID: 1000}); got != "/tmp/mayfly-1000" {
		t.Errorf("a user's: %s", got)
	}
	if got := runtimeDir(nil); got != "/run/mayfly" {
		t.Errorf("root's: %s", got)
	}
}
