//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI03_TheInitCantBeOverwritten tries to write to the program of every visible process while the sandbox starts and runs. At
// the end of each test, the canary also checks the hash of mayfly-shim; see hostState.
func TestI03_TheInitCantBeOverwritten(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "bin/self", Body: "#!/proc/self/exe\n", Mode: 0o755},
		link("bin/init", "/proc/self/exe"), link("bin/one", "/proc/1/exe"))
	before := describe(t, filepath.Join(testbed.Bin(t), "mayfly-shim"))

	got := b.attack("overwrite")
	if got["tried"] == "0" || got["tried"] == "" {
		t.Errorf("it tried nothing: %v", got)
	}
	for what, outcome := range got {
		if strings.HasPrefix(what, "wrote") && what != "wrote /bin/attacker" && !strings.HasSuffix(what, "/self/exe") {
			t.Errorf("%s: %s", what, outcome)
		}
	}
	// The sandbox must not execute the runtime again (CVE-2019-5736: the command is a script whose interpreter is the runtime).
	for _, command := range []string{"self", "/bin/self", "init", "/bin/init", "one", "/proc/self/exe", "/proc/1/exe", "/proc/self/fd/5"} {
		r, err := b.try(b.spec(command, "supervise"), nil)
		if err == nil && r.Code == 0 {
			t.Errorf("%s ran: %+v", command, r)
		}
		if text := r.stdout + r.stderr; strings.Contains(text, "mayfly-shim") {
			t.Errorf("%s executed the shim: %s", command, text)
		}
	}
	if after := describe(t, filepath.Join(testbed.Bin(t), "mayfly-shim")); after != before {
		t.Errorf("mayfly-shim was %s and is %s", before, after)
	}
}

// TestI03_TheHolderCantBeLookedInto tries to inspect process 1, as root of the sandbox and as an ordinary user of it.
func TestI03_TheHolderCantBeLookedInto(t *testing.T) {
	b := embeddedBox(t)
	for _, user := range []string{"", "1000:1000"} {
		spec := b.spec("attacker", "holder")
		spec.User = user
		for what, outcome := range b.run(spec, nil).lines() {
			if outcome != "EPERM" && outcome != "EACCES" && outcome != "ENOSYS" {
				t.Errorf("user %q: %s: %s", user, what, outcome)
			}
		}
	}
}

// TestI03_TheHolderTellsNothingOfTheHostsMounts checks that the files that list the mounts below process 1's root, which
// everyone may read, are empty.
func TestI03_TheHolderTellsNothingOfTheHostsMounts(t *testing.T) {
	b := embeddedBox(t)
	for _, file := range []string{"mounts", "mountinfo"} {
		r := b.run(b.spec("cat", "/proc/1/"+file), nil)
		if r.Code != 0 || r.stdout != "" {
			t.Errorf("%s: %+v", file, r)
		}
	}
}

// TestI03_TheShimIsNotWritableByTheSandboxsRoot checks that other users can't write to mayfly-shim. The sandbox's root has
// another user id on the host, so it couldn't even reopen an open descriptor for writing.
func TestI03_TheShimIsNotWritableByTheSandboxsRoot(t *testing.T) {
	info, err := os.Stat(filepath.Join(testbed.Bin(t), "mayfly-shim"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		t.Errorf("mayfly-shim is built with mode %v", info.Mode())
	}
}
