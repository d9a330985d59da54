package layers

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesHaveReasons checks that docs/DEPENDENCIES.md has a reason for each direct dependency of the programs and of the pages, and for
// nothing else in the pages.
func TestDependenciesHaveReasons(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	modules, pages, found := strings.Cut(read("docs/DEPENDENCIES.md"), "\n## The pages\n")
	if !found {
		t.Fatal("docs/DEPENDENCIES.md has no part on the pages")
	}
	modules, _, _ = strings.Cut(modules, "\nWeighed, and not used:\n")
	direct := 0
	named := namesIn(modules)
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read("go.mod"), -1) { // what isn't direct has a comment
		direct++
		if short := strings.TrimPrefix(m[1], "go.opentelemetry.io/"); !named[m[1]] && !named[short] {
			t.Errorf("docs/DEPENDENCIES.md gives no reason for %s", m[1])
		}
	}
	var manifest struct {
		DevDependencies map[string]string
	}
	if err := json.Unmarshal([]byte(read("web/package.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	if direct < 20 || len(manifest.DevDependencies) < 20 {
		t.Errorf("only %d modules and %d packages were found", direct, len(manifest.DevDependencies))
	}
	got, want := slices.Sorted(maps.Keys(namesIn(pages))), slices.Sorted(maps.Keys(manifest.DevDependencies))
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("docs/DEPENDENCIES.md gives no reason for the package %s", name)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("docs/DEPENDENCIES.md has the package %s, which web/package.json doesn't name", name)
		}
	}
}

// namesIn returns the names in the first column of tables.
func namesIn(document string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(document) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.HasPrefix(cells[1], "-") {
			continue
		}
		cell := strings.NewReplacer("(", "", ")", "", ", with ", ", ", " and ", ", ").Replace(cells[1])
		for name := range strings.SplitSeq(cell, ", ") {
			if name, _, _ = strings.Cut(strings.TrimSpace(name), " "); name != "" && name != "package" && name != "module" {
				names[name] = true
			}
		}
	}
	return names
}
