//go:build linux

package tooltest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/sdk/go/tooltest"
)

const root = "../../.."

// TestMain gives the tests an image store of their own, and looks that no run is left.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv("TOOLTEST_LONG") != "" {
		return m.Run(), nil // with what the test that started it has made
	}
	home, err := os.MkdirTemp("", "tooltest-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := os.RemoveAll(home); err == nil {
			err = e
		}
	}()
	mayfly, err := filepath.Abs(filepath.Join(root, "bin", "mayfly"))
	if err != nil {
		return 0, err
	}
	policy := filepath.Join(home, "policy.yaml") // the machine's own is no part of these tests
	if err := os.WriteFile(policy, nil, 0o600); err != nil {
		return 0, err
	}
	for name, value := range map[string]string{"MAYFLY": mayfly, "MAYFLY_HOME": home, "MAYFLY_POLICY": policy} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	for _, image := range []string{"python.tar", "shell.tar"} {
		if out, err := exec.Command(mayfly, "image", "load", filepath.Join(root, ".build", "images", image)).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("load %s: %w\n%s", image, err, out)
		}
	}
	before := runs()
	code = m.Run()
	for id := range runs() {
		if !before[id] {
			return 1, fmt.Errorf("LEFT BEHIND: run %s", id)
		}
	}
	return code, nil
}

// runs are those that are on this machine.
func runs() map[string]bool {
	out := map[string]bool{}
	entries, _ := os.ReadDir("/run/mayfly/runs") // not there before the first
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out
}

// recorder is a test that keeps what it is told.
type recorder struct {
	errors, fatal []string
}

func (*recorder) Helper()      {}
func (*recorder) Name() string { return "recorded" }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = append(r.fatal, fmt.Sprintf(format, args...))
}

var (
	_ tooltest.TB = (*testing.T)(nil)
	_ tooltest.TB = (*recorder)(nil)
)
