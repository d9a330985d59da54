//go:build linux

// Package makefile tests the Makefile and the script that runs its parts, in a temporary folder.
package makefile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// copyFile copies a file of the repository into a folder.
func copyFile(t *testing.T, dir, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, name), string(data))
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs a program without the variables that an outer make passes to inner ones. It returns what the program printed, and
// whether it failed.
func run(t *testing.T, dir string, env []string, argv ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "MAKE") && name != "MFLAGS" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), err != nil
}

// TestAllParts checks that every part runs even if one fails, and that the summary lists the parts and the failed tests.
func TestAllParts(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "test/all.sh")
	writeFile(t, filepath.Join(dir, "Makefile"), `
good:
	@echo good runs
bad:
	@printf '    --- FAIL: Test%s/case (0.00s)\nFAIL\texample.com/bad\t0.1s\n' Bad; exit 3
worse:
	@echo 'ERROR: test_worse (test_all.Worse)' >&2; exit 1
last:
	@echo last runs
`)
	all := filepath.Join(dir, "test", "all.sh")
	seconds := regexp.MustCompile(` +[0-9]+s\b`)
	out, failed := run(t, dir, []string{"LC_ALL=C"}, all, "good", "bad", "worse", "last")
	_, summary, found := strings.Cut(out, "==> summary\n")
	want := "    --- FAIL: TestBad/case (0.00s)\nERROR: test_worse (test_all.Worse)\nFAIL\texample.com/bad\t0.1s\n" +
		"ok    good\nFAIL  bad\nFAIL  worse\nok    last\n"
	untimed := func(s string) string { return seconds.ReplaceAllString(s, "") }
	if !failed || !found || untimed(summary) != want || !strings.Contains(out, "last runs") {
		t.Errorf("failed: %v\n%s\nwant\n%s", failed, out, want)
	}
	out, failed = run(t, dir, []string{"LC_ALL=C"}, all, "good", "last")
	if failed || !strings.Contains(out, "good runs") || strings.Contains(out, "FAIL") {
		t.Errorf("of parts that pass, failed: %v\n%s", failed, out)
	}
}

// TestBuildWithoutLibseccomp checks that make build, on a machine without the header files, says what to do and builds
// nothing.
func TestBuildWithoutLibseccomp(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "Makefile")
	none := t.TempDir()
	out, failed := run(t, dir, []string{"PKG_CONFIG_PATH=" + none, "PKG_CONFIG_LIBDIR=" + none}, "make", "--no-print-directory", "build")
	want := "make build: libseccomp's header files are missing; run 'make setup' first\n"
	if !failed || !strings.HasPrefix(out, want) || strings.Contains(out, "go build") {
		t.Errorf("failed: %v\n%s", failed, out)
	}
}
