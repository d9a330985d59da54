// Package layers tests that every package has a rule of what it may import.
package layers

import (
	"os"
	"os/exec"
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

// TestEveryPackageHasARule: a package that .golangci.yml doesn't name could import anything.
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
			t.Errorf("rule %s isn't a list of what is allowed", name)
		}
		for _, pattern := range r.Files {
			rules[pattern] = true
		}
		for _, allowed := range r.Allow {
			if strings.HasPrefix(allowed, "github.com/mayfly-run/mayfly") && !strings.HasSuffix(allowed, "$") {
				t.Errorf("rule %s allows all below %s; end it in $", name, allowed)
			}
		}
	}
	list := exec.Command("go", "list", "-f", "{{.Dir}}", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 30 {
		t.Errorf("go list found only %d packages", len(packages))
	}
	for _, dir := range packages {
		name, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.ToSlash(name)
		if !rules["**/"+name+"/*.go"] && !slices.ContainsFunc(parents(name), func(p string) bool { return rules["**/"+p+"/**/*.go"] }) {
			t.Errorf("package %s has no rule of what it may import: add one to depguard in .golangci.yml", name)
		}
	}
}

// parents are the folders that a package is below.
func parents(name string) []string {
	var all []string
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			all = append(all, name[:i])
		}
	}
	return all
}
