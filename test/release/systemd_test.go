package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdUnits has systemd check the units of the Debian package.
func TestSystemdUnits(t *testing.T) {
	units, err := filepath.Glob("../../release/systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("units %v, %v", units, err)
	}
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatalf("%v: make setup installs systemd", err)
	}
	// Their program is installed with them, and not on this machine.
	dir := t.TempDir()
	var files []string
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "ExecStart=/usr/bin/mayfly ") {
			t.Errorf("%s doesn't start /usr/bin/mayfly", unit)
		}
		file := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/mayfly ", "/bin/true ")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out, err := exec.Command(verify, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.HasPrefix(line, "mayfly-") { // and not what is wrong with this machine's own units
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
