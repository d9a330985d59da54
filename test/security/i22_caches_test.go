//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestI22_CachesOfOtherFiles plants a program in the cache of a file elsewhere, with the same names of tool and cache, and in the
// place where earlier versions kept the cache. The tool, which has a secret, must find neither, and must find what it kept
// itself at its next run.
func TestI22_CachesOfOtherFiles(t *testing.T) {
	c := newCLI(t)
	volumes := "volumes: [{name: c, cache: bin, mount_path: /cache}, {name: token, secret: token}]\n"
	write := func(folder, script string) string {
		if err := os.MkdirAll(filepath.Join(c.tools, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		path := c.tool(filepath.Join(folder, "deployer"), volumes+script)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), "name: "+folder+"/", "name: ", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.env = append(c.env, "TOKEN=the-secret-of-the-tool")
	run := func(path string) done {
		t.Helper()
		return c.mayfly("run", path, "--secret", "token=env:TOKEN")
	}
	const plant = "script: |\n  echo 'echo PLANTED' > /cache/step; echo ran\n"
	const use = "script: |\n  ls /cache; if [ -e /cache/step ]; then sh /cache/step; fi; echo 'echo OWN' > /cache/step; echo ran\n"
	evil := write("evil", plant)
	if d := run(evil); d.code != 0 || d.stdout != "ran\n" {
		t.Fatalf("%+v", d)
	}
	text, err := os.ReadFile(evil)
	if err != nil {
		t.Fatal(err)
	}
	piped := c.command("run", "-", "--secret", "token=env:TOKEN")
	piped.Stdin = strings.NewReader(string(text))
	if out, err := piped.CombinedOutput(); err != nil {
		t.Fatalf("from standard input: %v: %s", err, out)
	}
	// Make a cache as an earlier version kept it, with the content of any current cache.
	kept, err := filepath.Glob(filepath.Join(c.home, "caches", "deployer", "bin", "*.tar"))
	if err != nil || len(kept) == 0 {
		t.Fatalf("caches: %q, %v", kept, err)
	}
	planted, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(c.home, "caches", "deployer", "bin.tar")
	if err := os.WriteFile(old, planted, 0o600); err != nil {
		t.Fatal(err)
	}
	good := write("good", use)
	if d := c.mayfly("run", good, "--secret", "token=env:TOKEN", "--dry-run"); d.code != 0 {
		t.Errorf("%+v", d)
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("a dry run drops it: %v", err)
	}
	if d := run(good); d.code != 0 || d.stdout != "ran\n" || strings.Count(d.stderr, "the cache bin of tool deployer is dropped") != 1 {
		t.Errorf("the first run: %+v", d)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the cache of an earlier version is still there")
	}
	if d := run(good); d.code != 0 || d.stdout != "step\nOWN\nran\n" || strings.Contains(d.stderr, "dropped") {
		t.Errorf("the second run: %+v", d)
	}
	// A workflow elsewhere that names the tool's file runs that tool, with the tool's own cache.
	flow := filepath.Join(c.tools, "flow.yaml")
	if err := os.WriteFile(flow, []byte("name: flow\nworkflow:\n  - {name: one, tool: ./good/deployer.yaml}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if d := run(flow); d.code != 0 || !strings.Contains(d.stdout+d.stderr, "OWN") {
		t.Errorf("in a workflow: %+v", d)
	}
}
