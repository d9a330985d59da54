//go:build linux

package makefile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// npm stands for npm: it says what it was asked for, and leaves what npm leaves.
const npm = `#!/bin/sh
echo "npm $*"
case $1 in
  ci) mkdir -p web/node_modules && echo {} >web/node_modules/.package-lock.json ;;
  run) [ ! -e web/dist/old.js ] || echo "an old file is left"; echo page >web/dist/index.html ;;
esac
`

// webFiles writes the files by which make web decides what to do.
func webFiles(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{
		"package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "svelte.config.js", "tsconfig.json", "types.mjs",
		"src/App.svelte", "src/build/schema.ts", "src/a.test.ts", "src/api/schema.ts", "public/icon.svg", "dist/placeholder.html", "dist/old.js", "test/a.test.ts",
	} {
		writeFile(t, filepath.Join(dir, "web", name), name)
	}
}

// TestWebBuildsWhatChanged checks that make web installs packages only if their list has changed, and builds only if a source has.
func TestWebBuildsWhatChanged(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "Makefile")
	webFiles(t, dir)
	writeFile(t, filepath.Join(dir, "bin", "npm"), npm)
	path := "PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"
	at := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		changed     string
		ci, rebuilt bool
	}{
		{"", true, true},
		{"", false, false},
		{"src/App.svelte", false, true},
		{"src/build/schema.ts", false, true},
		{"public/icon.svg", false, true},
		{"vite.config.ts", false, true},
		{"package-lock.json", true, true},
		{"src/a.test.ts", false, false},
		{"src/api/schema.ts", false, false},
		{"test/a.test.ts", false, false},
	} {
		age(t, dir, at)
		if c.changed != "" {
			now := time.Now()
			if err := os.Chtimes(filepath.Join(dir, "web", c.changed), now, now); err != nil {
				t.Fatal(err)
			}
		}
		out, failed := run(t, dir, []string{path}, "make", "--no-print-directory", "web")
		if failed || strings.Contains(out, "npm ci") != c.ci || strings.Contains(out, "npm run") != c.rebuilt || strings.Contains(out, "old file") {
			t.Errorf("after a change of %q, failed: %v\n%s", c.changed, failed, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "web/dist/placeholder.html")); err != nil {
		t.Error(err)
	}
	if out, failed := run(t, dir, []string{path}, "make", "clean"); failed {
		t.Errorf("make clean: %s", out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "web/dist/*"))
	if _, modules := os.Stat(filepath.Join(dir, "web/node_modules")); err != nil || len(left) != 1 || modules == nil {
		t.Errorf("make clean leaves %v, %v", left, err)
	}
}

// age gives all files the same old time, as if they had been built then.
func age(t *testing.T, dir string, at time.Time) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWebWithoutNpm checks that make web, on a machine without npm, says what to do.
func TestWebWithoutNpm(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, dir, "Makefile")
	webFiles(t, dir)
	bin := t.TempDir()
	for _, name := range []string{"bash", "find"} {
		if err := os.Symlink("/usr/bin/"+name, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	out, failed := run(t, dir, []string{"PATH=" + bin}, "/usr/bin/make", "--no-print-directory", "web")
	want := "make web: npm is missing; run 'make setup' first, or build without the pages with 'make build-go'\n"
	if !failed || !strings.Contains(out, want) {
		t.Errorf("failed: %v\n%s", failed, out)
	}
}

// TestLockFile checks that the packages of the pages are pinned by their hashes, and that the lock file names no place that they come from.
func TestLockFile(t *testing.T) {
	var manifest struct {
		Dependencies, DevDependencies map[string]string
	}
	var lock struct {
		Packages map[string]struct{ Version, Resolved, Integrity string }
	}
	for name, to := range map[string]any{"package.json": &manifest, "package-lock.json": &lock} {
		data, err := os.ReadFile(filepath.Join("..", "..", "web", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, to); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, "://") && !strings.Contains(line, `"url":`) { // that one is where a package asks for donations
				t.Errorf("%s has an address: %s", name, line)
			}
		}
	}
	exact := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for name, version := range manifest.DevDependencies {
		if !exact.MatchString(version) || lock.Packages["node_modules/"+name].Version != version {
			t.Errorf("package.json doesn't pin %s: %q", name, version)
		}
	}
	if len(manifest.DevDependencies) < 20 || len(manifest.Dependencies) > 0 {
		t.Errorf("package.json has %d packages for the build, and %d others", len(manifest.DevDependencies), len(manifest.Dependencies))
	}
	for path, p := range lock.Packages {
		if path != "" && (p.Resolved != "" || !strings.HasPrefix(p.Integrity, "sha512-")) {
			t.Errorf("%s: resolved %q, integrity %q", path, p.Resolved, p.Integrity)
		}
	}
}
