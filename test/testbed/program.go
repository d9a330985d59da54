//go:build linux

package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// Patience is how long a test waits for a sandbox. MAYFLY_TEST_PATIENCE changes it, since an emulated machine is slower.
var Patience = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("MAYFLY_TEST_PATIENCE")); err == nil {
		return d
	}
	return time.Minute
}()

// ProgramsEnv names the folder of test programs that are already built, for a machine without Go.
const ProgramsEnv = "MAYFLY_TEST_PROGRAMS"

// Program returns a program to run inside a sandbox: that of the Go package in the folder name beside the test. It is built
// once.
func Program(name string) func(testing.TB) imagetest.File {
	built := sync.OnceValues(func() ([]byte, error) { return buildProgram(name) })
	return func(tb testing.TB) imagetest.File {
		tb.Helper()
		body, err := built()
		if err != nil {
			tb.Fatal(err)
		}
		return imagetest.File{Name: "bin/" + name, Body: string(body), Mode: 0o755}
	}
}

func buildProgram(name string) ([]byte, error) {
	if dir := os.Getenv(ProgramsEnv); dir != "" {
		return os.ReadFile(filepath.Join(dir, name))
	}
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, name)
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./"+name)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return os.ReadFile(out)
}
