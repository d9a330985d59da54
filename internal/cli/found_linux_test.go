package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestI23_FoundBelow: a file that a search finds below a folder is refused where another user could have put it there; by its
// path it is taken.
func TestI23_FoundBelow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("run it as root: it gives files to others")
	}
	t.Setenv("MAYFLY_HOME", t.TempDir())
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"own/tool.yaml":          "image: alpine\n",
		"theirs/x_test.yaml":     "tool: {image: alpine}\ntests: [{name: a}]\n",
		"theirs/deploy/run.yaml": "image: alpine\n",
		"here.yaml":              "image: alpine\n",
		"tools/named.yaml":       "image: alpine\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) (status int, text string) {
		var out bytes.Buffer
		status = Main(t.Context(), args, strings.NewReader(""), &out, &out)
		return status, out.String()
	}
	const theirs = "theirs/x_test.yaml was found by a search, and "
	for _, c := range []struct {
		folder string // that another user has
		args   []string
		status int // with it
		text   string
	}{
		{"theirs", []string{"validate", "."}, 0, ""}, // it runs nothing
		{"theirs", []string{"validate", "theirs/x_test.yaml", "theirs/deploy/run.yaml"}, 0, ""},
		{".", []string{"validate", "named"}, 1, "named.yaml was found by a search, and "},
		{".", []string{"graph", "named"}, statusFailure, "named.yaml was found by a search, and "},
		{"own", []string{"validate", "own"}, 0, ""},
		{"own", []string{"graph", "own"}, statusFailure, "tool.yaml was found by a search, and "},
		{".", []string{"validate", "./here.yaml"}, 0, ""},
		{".", []string{"ls"}, 0, "here.yaml was found by a search, and "},
	} {
		for uid, foreign := range map[int]bool{0: false, 4242: true} {
			if err := os.Chown(c.folder, uid, uid); err != nil {
				t.Fatal(err)
			}
			status, text := command(c.args...)
			refused := strings.Contains(text, "whoever put it there would get your secrets")
			switch {
			case foreign && (status != c.status || refused != (c.text != "") || !strings.Contains(text, c.text)):
				t.Errorf("mayfly %q with %s of %d: status %d, %s", c.args, c.folder, uid, status, text)
			case !foreign && (refused || status != 0 && c.args[0] != "graph"): // it is of no workflow
				t.Errorf("mayfly %q of the user: status %d, %s", c.args, status, text)
			}
		}
		if err := os.Chown(c.folder, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown("theirs", 4242, 4242); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{nil, {"."}, {"theirs"}, {"theirs/x_test.yaml", "theirs"}} {
		if suites, err := loadSuites(nil, paths); !untrusted(err) || !strings.Contains(err.Error(), theirs) {
			t.Errorf("the tests of %q: %d, %v", paths, len(suites), err)
		}
	}
	if suites, err := loadSuites(nil, []string{"theirs/x_test.yaml"}); err != nil || len(suites) != 1 {
		t.Errorf("tests by their path: %d, %v", len(suites), err)
	}
}

// TestValidateNotesHosts: what else answers at a host's addresses is said once, of tools that are valid.
func TestValidateNotesHosts(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"a.yaml":     "image: alpine\nnetwork: [{host: a.example.com}]\n",
		"b.yaml":     "image: alpine\nnetwork: [{host: b.github.io}]\n",
		"bad.yaml":   "image: alpine\nnetwork: [{host: a.example.com}]\nbad: key\n",
		"range.yaml": "image: alpine\nnetwork: [{cidr: 192.0.2.0/24}]\n",
		"flow.yaml":  "workflow: [{name: one, tool: ./a.yaml}]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args     []string
		notes    int
		warnings int
	}{
		{[]string{"./a.yaml", "./b.yaml"}, 1, 1},
		{[]string{"./bad.yaml", "./range.yaml"}, 0, 0},
		{[]string{"./flow.yaml"}, 1, 0},
		{[]string{"./a.yaml", "./b.yaml", "--json"}, 0, 0},
	} {
		var out, errOut bytes.Buffer
		Main(t.Context(), append([]string{"validate"}, c.args...), strings.NewReader(""), &out, &errOut)
		if text := errOut.String(); strings.Count(text, "note: ") != c.notes || strings.Count(text, "warning: ") != c.warnings || strings.Contains(out.String(), "note") {
			t.Errorf("%q: %s%s", c.args, text, &out)
		}
	}
}
