//go:build linux

package tooltest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/sdk/go/tooltest"
)

const root = "../../.."

// TestMain gives the tests their own image store, and checks that they leave no run.
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
		return m.Run(), nil // in a process that TestKilled started: it uses the store of that test
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
	policy := filepath.Join(home, "policy.yaml") // replaces the machine's own
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
	left := runs()
	if len(left) > 0 { // a run of another checkout may be ending
		time.Sleep(time.Second)
		again, foreign := runs(), heldByOthers(filepath.Dir(mayfly))
		for id := range left {
			if again[id] && !before[id] && !foreign[id] {
				return 1, fmt.Errorf("LEFT BEHIND: run %s", id)
			}
		}
	}
	return code, nil
}

// heldByOthers returns the ids of the runs that programs of other checkouts hold: they have files of the runs open.
func heldByOthers(bin string) map[string]bool {
	out := map[string]bool{}
	programs, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, program := range programs {
		exe, err := os.Readlink(program)
		if err != nil || !strings.HasPrefix(filepath.Base(exe), "mayfly") || filepath.Dir(exe) == bin {
			continue // it has ended, or is another program
		}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "fd", "*"))
		for _, file := range files {
			target, _ := os.Readlink(file)
			if below, ok := strings.CutPrefix(target, "/run/mayfly/runs/"); ok {
				id, _, _ := strings.Cut(below, "/")
				out[id] = true
			}
		}
	}
	return out
}

// runs returns the ids of the runs on this machine.
func runs() map[string]bool {
	out := map[string]bool{}
	entries, _ := os.ReadDir("/run/mayfly/runs") // missing before the first run
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out
}

// recorder is a test that records its failures.
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
