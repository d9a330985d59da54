package drafts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// belong returns the paths of the files of a draft: the definition, what it names, its tests with their mocks, and, if its folder has no other
// definition, all of the folder.
func (f *Folder) belong(name string, all *scan, s *state) []string {
	paths := map[string]bool{name: true}
	g := &gathering{f: f, s: s, paths: paths}
	right := g.definition(name)
	dir := path.Dir(name)
	for _, one := range f.testsIn(dir, all) {
		g.tests(name, one)
	}
	s.named = slices.Sorted(maps.Keys(paths))
	if !slices.ContainsFunc(all.names, func(other string) bool { return other != name && within(dir, other) }) {
		f.folder(dir, skipped, g)
	}
	with := f.with[name]
	if right {
		with.named = s.named
	}
	f.with[name] = with
	for _, p := range slices.Concat(with.named, with.written) {
		paths[p] = true
	}
	return slices.Sorted(maps.Keys(paths))
}

// folder adds all of a folder, unless it is too much.
func (f *Folder) folder(dir string, skip func(name string) bool, g *gathering) {
	left := mostEntries
	some := map[string]bool{}
	err := f.walk(dir, 0, &left, skip, func(name string, _ fs.DirEntry) error {
		some[name] = true
		if len(some) > api.MostBundleFiles {
			return fmt.Errorf("the folder has more than %d files", api.MostBundleFiles)
		}
		return nil
	}, g.s.complain)
	if err != nil {
		g.s.complain("only what the definition names is here: %v", err)
		return
	}
	maps.Copy(g.paths, some)
}

// gathering finds what a definition names.
type gathering struct {
	f     *Folder
	s     *state
	paths map[string]bool
}

// add adds a file that a file in dir names, or all files of a folder.
func (g *gathering) add(dir, name string) {
	p, ok := inside(dir, name)
	if !ok {
		g.s.complain("%s is left out: it is outside the folder", name)
		return
	}
	info, err := g.f.root.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it may be written next
	case err != nil:
		g.s.complain("%s is left out: %v", p, withoutCall(err))
	case info.IsDir():
		g.f.folder(p, func(name string) bool { return name == ".git" }, g)
	default:
		g.paths[p] = true
	}
}

// inside returns the path of what a file in dir names.
func inside(dir, name string) (string, bool) {
	name = filepath.ToSlash(name)
	p := path.Join(dir, name)
	return p, !path.IsAbs(name) && fs.ValidPath(p) && !strings.ContainsAny(p, "\\\x00")
}

// definition adds what a definition names. It returns false for one that is wrong, so that it isn't known what it names.
func (g *gathering) definition(name string) bool {
	def, err := parsed(g.f, name, definition.Parse)
	if err != nil {
		return false
	}
	dir := path.Dir(name)
	if def.Workflow == nil {
		g.tool(dir, def.Tool)
		return true
	}
	for _, step := range def.Workflow.All() {
		if step.Uses.Tool != nil {
			g.tool(dir, step.Uses.Tool)
			continue
		}
		file := g.find(dir, step.Uses.Name)
		if file == "" {
			continue
		}
		g.add(".", file)
		if def, err := parsed(g.f, file, definition.Parse); err == nil && def.Tool != nil {
			g.tool(path.Dir(file), def.Tool)
		}
	}
	return true
}

// find returns the file of a step's tool, or "" if the folder doesn't have it: the project may.
func (g *gathering) find(dir, name string) string {
	file, ok := g.f.find(dir, name)
	if !ok {
		g.s.complain("%s is left out: it is outside the folder", name)
	}
	return file
}

// find returns the file of a tool that a file in dir names, or "" if the folder doesn't have it. ok is false for a path that leads out of the folder.
func (f *Folder) find(dir, name string) (file string, ok bool) {
	if definition.IsPath(name) {
		p, ok := inside(dir, name)
		if !ok {
			return "", false
		}
		return p, true
	}
	if wrong, _ := tool.CheckName(name); wrong != "" {
		return "", true
	}
	for ; ; dir = path.Dir(dir) {
		for _, p := range definition.Candidates(dir, name) {
			if p = filepath.ToSlash(p); f.isFile(p) {
				return p, true
			}
		}
		if dir == "." || f.isFile(path.Join(dir, definition.ProjectFile)) {
			return "", true
		}
	}
}

func (f *Folder) isFile(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// tool adds the files of a tool whose definition is in dir.
func (g *gathering) tool(dir string, t *tool.Tool) {
	if t.Script != nil && t.Script.File != "" {
		g.add(dir, t.Script.File)
	}
	for _, v := range t.Volumes {
		if v.File != "" {
			g.add(dir, v.File)
		}
	}
}

// tests is a file of tests.
type tests struct {
	file  string
	suite *suite.Suite // nil if it is wrong
	of    []string     // what it tests, if it is in the folder
}

// testsIn returns the files of tests in a folder. There may be as many as definitions, so each is read once for a scan, and not once for each of those.
func (f *Folder) testsIn(dir string, all *scan) []tests {
	read, ok := all.tests[dir]
	if ok {
		return read
	}
	for _, file := range all.testFiles[dir] {
		one := tests{file: file}
		if all, err := parsed(f, file, suite.Parse); err == nil {
			one.suite, one.of = all, f.tested(dir, all)
		}
		read = append(read, one)
	}
	all.tests[dir] = read
	return read
}

// tests adds a file of tests, with the files of mocks that it names, if it tests a definition. One that is wrong is added if it is named like it.
func (g *gathering) tests(name string, one tests) {
	dir := path.Dir(one.file)
	if one.suite == nil {
		if stem := strings.TrimSuffix(name, path.Ext(name)); strings.HasPrefix(one.file, stem+"_") || strings.HasPrefix(one.file, stem+".") {
			g.paths[one.file] = true
		}
		return
	}
	if !slices.Contains(one.of, name) {
		return
	}
	all := one.suite
	g.paths[one.file] = true
	mocks := func(http []suite.HTTPMock) {
		for _, m := range http {
			for _, a := range m.Answers {
				if a.File != "" {
					g.add(dir, a.File)
				}
			}
		}
	}
	fixtures := []suite.Fixture{all.Fixture}
	for _, t := range all.Tests {
		fixtures = append(fixtures, t.Fixture)
	}
	for _, part := range fixtures {
		mocks(part.HTTP)
		if part.MockFile == nil {
			continue
		}
		g.add(dir, part.MockFile.Path)
		p, ok := inside(dir, part.MockFile.Path)
		if !ok {
			continue
		}
		if set, err := parsed(g.f, p, suite.ParseMocks); err == nil {
			mocks(set.HTTP)
			for _, own := range set.Tests {
				mocks(own.HTTP)
			}
		}
	}
}

// tested returns the definitions in the folder that a suite in dir may test.
func (f *Folder) tested(dir string, all *suite.Suite) (of []string) {
	subject := all.Tool
	if all.Workflow != nil {
		subject = all.Workflow
	}
	switch {
	case subject == nil || subject.Inline != nil:
	case definition.IsPath(subject.Name), all.Workflow == nil:
		if file, _ := f.find(dir, subject.Name); file != "" {
			of = append(of, file)
		}
	default:
		for _, at := range []string{"", "workflows"} {
			for _, ext := range []string{".yaml", ".yml"} {
				of = append(of, path.Join(dir, at, subject.Name+ext))
			}
		}
	}
	return of
}
