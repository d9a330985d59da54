//go:build linux

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKilledRunner kills a runner that has two runs, and starts it again: of its sandboxes nothing is left, the run without retry is lost at
// once, and the other one runs again.
func TestKilledRunner(t *testing.T) {
	s := newSite(t)
	far := s.remote("far", "far", t.TempDir())
	c := far.start()
	const script = "name: NAME\nimage: busybox\ncommand: [sh, -c, \"echo up; exec sleep 98765\"]\n"
	s.write("once.yaml", strings.Replace(script, "NAME", "once", 1))
	s.write("again.yaml", strings.Replace(script, "NAME", "again", 1)+"retry: {attempts: 2}\n")
	once := strings.TrimSpace(s.must("run", "once.yaml", "--pool", "far", "--detach", "-q"))
	again := strings.TrimSpace(s.must("run", "again.yaml", "--pool", "far", "--detach", "-q"))
	s.wait("up\n", "logs", once)
	s.wait("up\n", "logs", again)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	left := filepath.Join(os.TempDir(), "mayfly-tmp-of-its-tests")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(left)
	far.start()
	const missing = "events may be missing here: the runner far was started again while it had the run; what the tool printed and the runner hadn't sent yet is lost"
	if a := s.run("logs", "-f", once); strings.Count(a.err, missing) != 1 || a.status != 125 || a.out != "up\n" || !strings.Contains(a.err, "the runner far was started again while it had the run") {
		t.Errorf("a run of a runner that was killed: %+v", a)
	}
	s.wait("up\nup\n", "logs", again)
	if n := sleepers(t); n != 1 {
		t.Errorf("%d tools run, want only that of the second attempt", n)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("the temporary folder of a run of tests is still there")
	}
	s.must("cancel", again)
	if a := s.run("logs", "-f", again); strings.Count(a.err, missing) != 1 || a.status != 130 || !strings.Contains(a.err, "attempt 2 follows: the runner far was started again while it had the run") {
		t.Errorf("a run that was given to a runner again: %+v", a)
	}
}

// sleepers counts the processes of the tools.
func sleepers(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, _ := os.ReadFile(file) // it may have ended
		if string(data) == "sleep\x0098765\x00" {
			n++
		}
	}
	return n
}
