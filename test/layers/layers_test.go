// Package layers tests that every package has a rule for what it may import, and is on the map of docs/ARCHITECTURE.md.
package layers

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type rule struct {
	ListMode string   `yaml:"list-mode"`
	Files    []string `yaml:"files"`
	Allow    []string `yaml:"allow"`
	Deny     []any    `yaml:"deny"`
}

// TestEveryPackageHasARule checks that .golangci.yml has a rule for each package: one without a rule could import anything.
func TestEveryPackageHasARule(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]rule `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{} // by their pattern of files
	for name, r := range config.Linters.Settings.Depguard.Rules {
		if r.ListMode != "strict" || len(r.Allow) == 0 || r.Deny != nil {
			t.Errorf("rule %s isn't an allow-list", name)
		}
		for _, pattern := range r.Files {
			rules[pattern] = true
		}
		for _, allowed := range r.Allow {
			if strings.HasPrefix(allowed, "github.com/mayfly-run/mayfly") && !strings.HasSuffix(allowed, "$") {
				t.Errorf("rule %s allows everything below %s; end the pattern with $", name, allowed)
			}
		}
	}
	for _, name := range packages(t, root) {
		if !rules["**/"+name+"/*.go"] && !slices.ContainsFunc(parents(name), func(p string) bool { return rules["**/"+p+"/**/*.go"] }) {
			t.Errorf("package %s has no rule for what it may import: add one to depguard in .golangci.yml", name)
		}
	}
}

// TestEveryPackageIsOnTheMap checks that docs/ARCHITECTURE.md has a line for each internal package.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, house, _ := strings.Cut(string(document), "\n## The house\n")
	_, house, _ = strings.Cut(house, "```\n")
	house, _, _ = strings.Cut(house, "```\n")
	for _, name := range packages(t, root) {
		if !strings.HasPrefix(name, "internal/") {
			continue
		}
		// On the map each part of the path has its own line, two spaces further right than its parent.
		line := strings.Repeat("  ", strings.Count(name, "/")) + path.Base(name) + " "
		if !strings.Contains("\n"+house, "\n"+line) {
			t.Errorf("package %s is not on the map of docs/ARCHITECTURE.md", name)
		}
	}
}

// TestShowRunsNothing checks that how a run looks doesn't depend on where it runs. The rule of internal/show covers only its own
// imports; this test covers what they import as well.
func TestShowRunsNothing(t *testing.T) {
	const module = "github.com/mayfly-run/mayfly/internal/"
	out, err := exec.Command("go", "list", "-deps", module+"show").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"run") {
		t.Fatalf("internal/show doesn't import internal/run; the list is wrong: %q", deps)
	}
	for _, runs := range []string{"cli", "host", "image", "oci", "policy", "run/local", "secret", "tooltest", "workflow"} {
		if slices.Contains(deps, module+runs) {
			t.Errorf("internal/show needs internal/%s, which a view of events has no use for", runs)
		}
	}
}

// packages returns the folders of all packages, relative to root. It reads the folders itself, and doesn't ask go list: the go command
// sees which folders a test reads, and repeats no cached result when there is a new package.
func packages(t *testing.T, root string) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch hidden := strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_"); {
		case err != nil:
			return err
		case d.IsDir() && file != root && (hidden || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && !hidden && filepath.Ext(file) == ".go":
			dir, err := filepath.Rel(root, filepath.Dir(file))
			found[filepath.ToSlash(dir)] = true
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 30 {
		t.Errorf("only %d packages were found", len(found))
	}
	return slices.Sorted(maps.Keys(found))
}

// parents returns the folders that contain a package's folder.
func parents(name string) []string {
	var all []string
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			all = append(all, name[:i])
		}
	}
	return all
}
