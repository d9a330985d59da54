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
	"time"
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
	cmd.WaitDelay = 10 * time.Second // for what goes on when the program has ended
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
	// In two rows, the summary is the same.
	out, failed = run(t, dir, []string{"LC_ALL=C"}, all, "good", "bad", "+", "worse", "last")
	_, summary, _ = strings.Cut(out, "==> summary\n")
	if !failed || untimed(summary) != want || !strings.Contains(out, "good runs") || !strings.Contains(out, "last runs") {
		t.Errorf("in two rows, failed: %v\n%s\nwant\n%s", failed, out, want)
	}
	out, failed = run(t, dir, []string{"LC_ALL=C"}, all, "good", "last")
	if failed || !strings.Contains(out, "good runs") || strings.Contains(out, "FAIL") {
		t.Errorf("of parts that pass, failed: %v\n%s", failed, out)
	}
}

// TestAllRefusesEmptyRows checks that a run of nothing doesn't succeed.
func TestAllRefusesEmptyRows(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "test/all.sh")
	writeFile(t, filepath.Join(dir, "Makefile"), "a b:\n\t@echo $@ runs\n")
	for _, args := range []string{"", "+", "+ a", "a +", "a + + b"} {
		out, failed := run(t, dir, nil, append([]string{filepath.Join(dir, "test", "all.sh")}, strings.Fields(args)...)...)
		if !failed || strings.Contains(out, "runs") || !strings.Contains(out, "usage: test/all.sh TARGET") {
			t.Errorf("%q: failed: %v\n%s", args, failed, out)
		}
	}
}

// TestRowsRunBesideEachOther checks that rows run at the same time: each of two targets waits for the other one.
func TestRowsRunBesideEachOther(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "test/all.sh")
	writeFile(t, filepath.Join(dir, "Makefile"), `
a:
	@mkfifo there; echo from a >there; cat back; rm there
b:
	@mkfifo back; until test -p there; do sleep 0.1; done; cat there; echo from b >back; rm back
`)
	out, failed := run(t, dir, nil, "timeout", "60", filepath.Join(dir, "test", "all.sh"), "a", "+", "b")
	if failed || !strings.Contains(out, "from a") || !strings.Contains(out, "from b") {
		t.Errorf("failed: %v\n%s", failed, out)
	}
}

// TestAllEndsWhole checks that no process of a run goes on when the run is ended.
func TestAllEndsWhole(t *testing.T) {
	for name, recipe := range map[string]string{
		"one that ends slowly": `bash -c 'trap "sleep 1; exit" TERM; sleep 1000 & wait $$!'`,
		"one that is stopped":  `kill -STOP 0; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) { testAllEndsWhole(t, recipe) })
	}
}

func testAllEndsWhole(t *testing.T, recipe string) {
	dir := t.TempDir()
	copyFile(t, dir, "test/all.sh")
	writeFile(t, filepath.Join(dir, "Makefile"), "\na b:\n\t@echo begun >$@; "+recipe+"; echo ended >$@\n")
	script := `"$0" a + b & until test -s a -a -s b; do sleep 0.1; done; kill $!; wait $!`
	out, failed := run(t, dir, nil, "timeout", "60", "bash", "-c", script, filepath.Join(dir, "test", "all.sh"))
	if !failed || strings.Contains(out, "==> summary") { // which is printed when all rows have ended
		t.Errorf("failed: %v\n%s", failed, out)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if cwd, err := os.Readlink(p); err == nil && cwd == dir {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
			t.Errorf("%s goes on", strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
}

// TestToolsAreBuilt checks that a fresh checkout builds the server for S3 before the tests that start it.
func TestToolsAreBuilt(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "Makefile")
	for _, name := range []string{"tools/s3/go.mod", "tools/s3/go.sum"} {
		copyFile(t, dir, name)
	}
	webFiles(t, dir)
	for _, target := range []string{"test-pure", "test-race", "test-bounds", "test-real", "test-programs"} {
		out, failed := run(t, dir, nil, "make", "--no-print-directory", "-n", target)
		if tool := strings.Index(out, "cd tools/s3 && "); failed || tool < 0 || tool > max(strings.Index(out, "test/all.sh"), strings.Index(out, "go test")) {
			t.Errorf("make %s, failed: %v\n%s", target, failed, out)
		}
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
