package definition

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// ProjectFile is the file that marks the folder where the search for tools ends.
const ProjectFile = "mayfly.yaml"

// NotFoundError is the error of a tool that wasn't found by its name. It matches os.ErrNotExist.
type NotFoundError struct {
	Name string
	// Looked has the paths that were tried, in order.
	Looked []string
	// Nearest is the existing name that is most similar to Name, or empty.
	Nearest string
}

// Error says what was searched for, where, and which name was probably meant.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tool %s is not found", shape.Quote(e.Name))
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	}
	b.WriteString("; looked for")
	for _, p := range e.Looked {
		b.WriteString("\n  " + p)
	}
	return b.String()
}

// Is reports that the error matches os.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == os.ErrNotExist }

// Found is a definition that was found by its name.
type Found struct {
	File string
	// Search is how far the search for it went.
	Search ownership.Search
}

// Find finds the definition of a tool by its name: tools/NAME/tool.yaml or tools/NAME.yaml in startDir or the nearest folder
// above it, up to the project's root (the folder with a mayfly.yaml) or, outside projects, the filesystem's. It opens no
// file. The error is a *[NotFoundError] if there is no such file, and an *[ownership.UntrustedError] if another user could
// have put it there.
func Find(startDir, name string) (Found, error) {
	return FindFor(startDir, name, ownership.Search{Giver: -1})
}

// FindFor is [Find] for a name that is written in a file. by says whose files the search accepts.
func FindFor(startDir, name string, by ownership.Search) (Found, error) {
	giver := by.Giver
	if wrong, hint := tool.CheckName(name); wrong != "" {
		// This also keeps the search inside the folders of tools: a name can't be "../x".
		return Found{}, fmt.Errorf("tool %s %s; %s", shape.Quote(name), wrong, hint)
	}
	dirs, err := searched(startDir)
	if err != nil {
		return Found{}, fmt.Errorf("find tool %s: %w", name, err)
	}
	missing := &NotFoundError{Name: name}
	var names []string
	for i, dir := range dirs {
		for _, candidate := range Candidates(dir, name) {
			if shape.IsFile(candidate) {
				return Found{candidate, ownership.Search{Above: dir, Giver: giver}}, trustedSearch(dirs[:i+1], name, candidate, giver)
			}
			missing.Looked = append(missing.Looked, candidate)
		}
		names = append(names, toolsIn(filepath.Join(dir, "tools"))...)
	}
	missing.Nearest = shape.Nearest(name, names)
	return Found{}, missing
}

// Candidates returns the files in a folder that the name of a tool may refer to, the first one that exists.
func Candidates(dir, name string) []string {
	tools := filepath.Join(dir, "tools")
	return []string{filepath.Join(tools, name, "tool.yaml"), filepath.Join(tools, name+".yaml")}
}

// searched returns the folders whose tools are found by name, the nearest first.
func searched(startDir string) ([]string, error) {
	dir, err := filepath.Abs(startDir)
	if err != nil {
		return nil, err
	}
	dirs := []string{dir}
	for parent := filepath.Dir(dir); parent != dir && !shape.IsFile(filepath.Join(dir, ProjectFile)); parent = filepath.Dir(dir) {
		dirs = append(dirs, parent)
		dir = parent
	}
	return dirs, nil
}

// Names returns the names of all tools that [Find] can find, sorted.
func Names(startDir string) ([]string, error) {
	dirs, err := searched(startDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, dir := range dirs {
		names = append(names, toolsIn(filepath.Join(dir, "tools"))...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// trustedSearch is [ownership.Search.Check] for a file that was found in the last of the searched folders. Another user must
// not be able to put such a file into a nearer folder either, before it is read or for the next time.
func trustedSearch(dirs []string, name, file string, giver int) error {
	last := len(dirs) - 1
	for _, dir := range dirs[:last] {
		for _, place := range Candidates(dir, name) {
			var refused *ownership.UntrustedError
			err := ownership.Search{Above: dir, Giver: giver}.Check(place)
			if errors.As(err, &refused) {
				refused.File, refused.Nearer = file, true
				return refused
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("find tool %s: %w", name, err)
			}
		}
	}
	return ownership.Search{Above: dirs[last], Giver: giver}.Check(file)
}

// LoadNamed finds a tool or workflow by its name, as [Find] does, and reads it.
func LoadNamed(startDir, name string) (*Definition, error) {
	found, err := Find(startDir, name)
	if err != nil {
		return nil, err
	}
	return found.Load()
}

// FindIn is [InFolder] for a folder given by its name. Like [Find] it checks who could have put it there.
func FindIn(startDir, name string) (Found, error) {
	above, err := filepath.Abs(startDir)
	if err != nil {
		return Found{}, err
	}
	file, err := InFolder(filepath.Join(startDir, name))
	if err != nil {
		return Found{}, err
	}
	r := ownership.Search{Above: above, Giver: -1}
	return Found{file, r}, r.Check(file)
}

// Load reads what was found, as [Load] does.
func (f Found) Load() (*Definition, error) {
	def, err := Load(f.File)
	switch {
	case err != nil:
		return nil, err
	case def.Tool != nil:
		return def, def.Tool.CheckFiles(f.Search)
	}
	def.Workflow.FoundBy(f.Search)
	return def, nil
}

// InFolder returns the file of a folder's definition: tool.yaml, workflow.yaml, the one with the folder's name, or the only
// definition that isn't a file of tests or mocks.
func InFolder(dir string) (file string, err error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"tool.yaml", "workflow.yaml", filepath.Base(absolute) + ".yaml"} {
		if file := filepath.Join(dir, name); shape.IsFile(file) {
			return file, nil
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var found []string
	for _, e := range entries {
		name := e.Name()
		stem, yaml := cutYAML(name)
		if yaml && !IsTestFile(name) && !strings.HasSuffix(stem, ".mocks") && shape.IsFile(filepath.Join(dir, name)) {
			found = append(found, filepath.Join(dir, name))
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("folder %s has no tool.yaml, workflow.yaml or other definition", shape.Quote(dir))
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("folder %s has several definitions; name one: %s", shape.Quote(dir), shape.Listing(found))
}

// IsTestFile reports whether a file has the name of a test file.
func IsTestFile(name string) bool {
	stem, yaml := cutYAML(filepath.Base(name))
	return yaml && (stem == "tests" || strings.HasSuffix(stem, "_test") || strings.HasSuffix(stem, ".test"))
}

// IsYAML reports whether a file has the name of a definition or of a file of tests.
func IsYAML(name string) bool {
	_, yaml := cutYAML(name)
	return yaml
}

func cutYAML(name string) (stem string, found bool) {
	if stem, found = strings.CutSuffix(name, ".yaml"); found {
		return stem, true
	}
	return strings.CutSuffix(name, ".yml")
}

// toolsIn returns the names of the tools in a folder of tools. For a folder that can't be read it returns none, since the
// names are only suggestions.
func toolsIn(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		switch {
		case e.IsDir() && shape.IsFile(filepath.Join(dir, e.Name(), "tool.yaml")):
			names = append(names, e.Name())
		case !e.IsDir() && strings.HasSuffix(e.Name(), ".yaml"):
			names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { wrong, _ := tool.CheckName(n); return wrong != "" })
}

// IsPath reports whether the given name of a tool is the path of a file.
func IsPath(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
