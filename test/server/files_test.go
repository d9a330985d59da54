//go:build linux

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestToolVersions compares versions of a tool, gets one, and runs one.
func TestToolVersions(t *testing.T) {
	s := newSite(t)
	s.write("tool/tool.yaml", "name: t\nimage: busybox\nscript: {file: bin/run.sh}\n")
	s.write("tool/bin/run.sh", "#!/bin/sh\necho one\n")
	s.write("tool/data", "a\x00b")
	s.write("tool/old", "gone\n")
	s.must("tool", "push", "tool")
	if a := s.run("tool", "diff", "t"); a.status != 125 || !strings.Contains(a.err, "version 1 of tool t has none before it") {
		t.Errorf("the diff of one version: %+v", a)
	}
	s.write("tool/bin/run.sh", "#!/bin/sh\necho two \x1b[31m\n")
	s.write("tool/data", "a\x00c")
	s.write("tool/new", "no newline")
	if err := os.Remove(filepath.Join(s.dir, "tool/old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "tool/tool.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.must("tool", "push", "tool")
	want := `t@1 t@2: changed bin/run.sh
--- a/bin/run.sh
+++ b/bin/run.sh
@@ -1,2 +1,2 @@
 #!/bin/sh
-echo one
+echo two �[31m
t@1 t@2: changed data: the file isn't text
t@1 t@2: added new
--- /dev/null
+++ b/new
@@ -0,0 +1 @@
+no newline
\ No newline at end of file
t@1 t@2: removed old
--- a/old
+++ /dev/null
@@ -1 +0,0 @@
-gone
t@1 t@2: changed tool.yaml, now executable
`
	for _, args := range [][]string{{"t"}, {"t", "1"}, {"t", "1", "2"}} {
		if out := s.must(append([]string{"tool", "diff"}, args...)...); out != want {
			t.Errorf("diff %v:\n%s\nwant\n%s", args, out, want)
		}
	}
	if out := s.must("tool", "diff", "t", "2", "2"); out != "versions 2 and 2 of t have the same files\n" {
		t.Errorf("the same version: %q", out)
	}
	for text, args := range map[string][]string{
		"there is no version 9 of tool t":         {"diff", "t", "1", "9"},
		"there is no tool none":                   {"diff", "none"},
		`"x" is not the number of a version`:      {"diff", "t", "x"},
		"there is no version 7 of tool t":         {"get", "t@7"},
		"the folder tool isn't empty":             {"get", "t", "--dir", "tool"},
		`"t@": "" is not the number of a version`: {"get", "t@"},
	} {
		if a := s.run(append([]string{"tool"}, args...)...); a.status != 125 || !strings.Contains(a.err, text) {
			t.Errorf("%v: %+v", args, a)
		}
	}
	if out := s.must("tool", "get", "t@1", "-d", "got"); out != "t version 1: 4 files in got; its definition is tool.yaml\n" {
		t.Errorf("get: %q", out)
	}
	s.must("tool", "get", "t")
	for file, want := range map[string]string{"got/bin/run.sh": "#!/bin/sh\necho one\n", "got/old": "gone\n", "t/new": "no newline"} {
		if data, err := os.ReadFile(filepath.Join(s.dir, file)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "t/tool.yaml")); err != nil {
		t.Error(err)
	} else if info.Mode()&0o100 == 0 {
		t.Errorf("the executable file has the mode %v", info.Mode())
	}
	for version, want := range map[string]string{"t@1": "one\n", "t": "two \x1b[31m\n"} {
		if a := s.run("run", version); a.status != 0 || a.out != want {
			t.Errorf("run %s: %+v", version, a)
		}
	}
	if a := s.run("run", "t@3"); a.status != 125 || !strings.Contains(a.err, "there is no version 3 of tool t") {
		t.Errorf("a version that isn't there: %+v", a)
	}
}
