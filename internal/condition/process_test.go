package condition_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/condition/conditiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program builds mayfly-cel and returns its path.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mayfly-cel")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/mayfly-cel").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestProcess(t *testing.T) {
	path := program(t)
	conditiontest.Test(t, func(t *testing.T) condition.Evaluator {
		p := condition.NewProcess(path)
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	})
}

// TestProcessThatIsKilled checks that a killed program is started again.
func TestProcessThatIsKilled(t *testing.T) {
	p := condition.NewProcess(program(t))
	defer p.Close()
	x := condition.Expression{Text: "true"}
	for range 3 {
		if got, problem, err := p.Evaluate(t.Context(), x, condition.Values{}); err != nil || problem != nil || !got {
			t.Fatalf("got %v, %v, %v; want true", got, problem, err)
		}
		if out, err := exec.CommandContext(t.Context(), "pkill", "-KILL", "-P", fmt.Sprint(os.Getpid()), "mayfly-cel").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// TestProcessThatFails checks that a program that ends or gives a wrong answer is an error.
func TestProcessThatFails(t *testing.T) {
	for name, script := range map[string]string{
		"ends":     "#!/bin/sh\nexit 3\n",
		"says no":  "#!/bin/sh\nread line; echo '{\"error\": \"no\"}'; cat >/dev/null\n",
		"garbage":  "#!/bin/sh\nread line; echo hello; cat >/dev/null\n",
		"too many": "#!/bin/sh\nread line; echo '{\"problems\": [null, null]}'; cat >/dev/null\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mayfly-cel")
			if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			p := condition.NewProcess(path)
			if _, err := p.Check(t.Context(), []condition.Expression{{Text: "true"}}); err == nil {
				t.Error("Check returned no error")
			}
			_ = p.Close()
		})
	}
	p := condition.NewProcess(filepath.Join(t.TempDir(), "none"))
	if _, err := p.Check(t.Context(), []condition.Expression{{Text: "true"}}); err == nil || !strings.Contains(err.Error(), "which evaluates conditions") {
		t.Errorf("a missing program: got %v", err)
	}
}
