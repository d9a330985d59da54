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

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/shape"
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
	g.tests(name)
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
		if len(some) > mostFiles {
			return fmt.Errorf("the folder has more than %d files", mostFiles)
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

// read returns a file that is parsed.
func (g *gathering) read(name string) ([]byte, error) {
	in, _, err := g.f.open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return document.Read(in, shape.LargeBounds().FileSize)
}

// definition adds what a definition names. It returns false for one that is wrong, so that it isn't known what it names.
func (g *gathering) definition(name string) bool {
	text, err := g.read(name)
	if err != nil {
		return false
	}
	def, err := definition.Parse(name, text)
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
		if text, err := g.read(file); err == nil {
			if t, err := tool.Parse(file, text); err == nil {
				g.tool(path.Dir(file), t)
			}
		}
	}
	return true
}

// find returns the file of a step's tool, or "" if the folder doesn't have it: the project may.
func (g *gathering) find(dir, name string) string {
	if definition.IsPath(name) {
		p, ok := inside(dir, name)
		if !ok {
			g.s.complain("%s is left out: it is outside the folder", name)
			return ""
		}
		return p
	}
	if wrong, _ := tool.CheckName(name); wrong != "" {
		return ""
	}
	for ; ; dir = path.Dir(dir) {
		for _, p := range []string{path.Join(dir, "tools", name, "tool.yaml"), path.Join(dir, "tools", name+".yaml")} {
			if info, err := g.f.root.Stat(p); err == nil && info.Mode().IsRegular() {
				return p
			}
		}
		if dir == "." {
			return ""
		}
	}
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

// tests adds the files of tests beside a definition that test it, with the files of mocks that they name.
func (g *gathering) tests(name string) {
	dir := path.Dir(name)
	left := mostEntries
	_ = g.f.walk(dir, deepest, &left, skipped, func(file string, e fs.DirEntry) error { // what is too much is left out
		if e.Type().IsRegular() && path.Dir(file) == dir && definition.IsTestFile(file) {
			g.suite(name, file)
		}
		return nil
	}, func(string, ...any) {})
}

// suite adds a file of tests if it tests a definition, or is named like it.
func (g *gathering) suite(name, file string) {
	dir := path.Dir(file)
	text, err := g.read(file)
	if err != nil {
		return
	}
	all, err := suite.Parse(file, text)
	if err != nil {
		if stem := strings.TrimSuffix(name, path.Ext(name)); strings.HasPrefix(file, stem+"_") || strings.HasPrefix(file, stem+".") {
			g.paths[file] = true
		}
		return
	}
	if !g.tested(name, dir, all) {
		return
	}
	g.paths[file] = true
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
	for _, one := range fixtures {
		mocks(one.HTTP)
		if one.MockFile == nil {
			continue
		}
		g.add(dir, one.MockFile.Path)
		p, ok := inside(dir, one.MockFile.Path)
		if !ok {
			continue
		}
		text, err := g.read(p)
		if err != nil {
			continue
		}
		if set, err := suite.ParseMocks(p, text); err == nil {
			mocks(set.HTTP)
			for _, own := range set.Tests {
				mocks(own.HTTP)
			}
		}
	}
}

// tested says whether a suite in dir tests a definition.
func (g *gathering) tested(name, dir string, all *suite.Suite) bool {
	subject := all.Tool
	if all.Workflow != nil {
		subject = all.Workflow
	}
	switch {
	case subject == nil || subject.Inline != nil:
		return false
	case definition.IsPath(subject.Name), all.Workflow == nil:
		return g.find(dir, subject.Name) == name
	}
	for _, at := range []string{"", "workflows"} {
		for _, ext := range []string{".yaml", ".yml"} {
			if path.Join(dir, at, subject.Name+ext) == name {
				return true
			}
		}
	}
	return false
}
