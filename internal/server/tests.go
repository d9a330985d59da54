package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// kindTest is the kind of a run of tests.
const kindTest = "test"

const (
	// mostTests bounds the tests of a run, and testsTime how long they may take together.
	mostTests = 500
	testsTime = time.Hour
)

// acceptTests makes a run of tests of what was asked for.
func (s *Server) acceptTests(ctx context.Context, project string, n *api.NewRun, l *loaded, b *api.Bundle, version int) (*api.Run, error) {
	if err := wrongBesideTests(n); err != nil {
		return nil, err
	}
	tests, subject, err := s.testsOf(ctx, project, n, l, b)
	if err != nil {
		return nil, err
	}
	req := &run.Request{ID: run.NewID(), Project: project, Tests: tests, Grace: grace(n)}
	sealed, err := s.give(ctx, req, n.Secrets)
	if err != nil {
		return nil, err
	}
	if err := s.mayTest(ctx, project, n.Tool, req); err != nil {
		return nil, err
	}
	data, err := s.keepRequest(ctx, keptRequest{req, asked{Bundle: n.Bundle, Test: n.Test}}, false)
	if err != nil {
		return nil, err
	}
	row := newRow(ctx, project, n, subject, kindTest, version)
	row.ID, row.Request, row.Limits, row.Secrets = req.ID, data, keyLimit(project, n.Concurrency), sealed
	row.Needs = append(slices.Clone(n.Runner), needsTests)
	needGiven(&row)
	if err := s.asks(ctx, &row, n.Tool, req); err != nil {
		return nil, err
	}
	return s.enqueue(ctx, row, req, false)
}

// wrongBesideTests refuses what a test has of its own.
func wrongBesideTests(n *api.NewRun) error {
	for _, one := range []struct {
		field string
		given bool
	}{
		{"inputs", len(n.Inputs) > 0},
		{"environment", len(n.Environment) > 0},
		{"set", len(n.Set) > 0},
		{"from", n.From != ""},
		{"only", n.Only != ""},
		{"skip", len(n.Skip) > 0},
		{"keep_on_failure", n.KeepOnFailure},
	} {
		if one.given {
			return wrongAt("body."+one.field, one.field+" is for runs of tools, and this is a run of tests", "leave it out; the tests have their own inputs and environment")
		}
	}
	return nil
}

// mayTest checks that a project allows the tools of tests, and the secrets that the tests get. A secret that isn't there is the tests' own failure.
func (s *Server) mayTest(ctx context.Context, project, name string, req *run.Request) error {
	kept := keptSecrets(req)
	for _, one := range tested(req.Tests, name) {
		if err := s.mayRun(ctx, project, one.Known, one.Tool, req.Given); err != nil {
			return err
		}
		for _, secret := range one.Tool.SecretNames() {
			if !slices.Contains(kept, secret) {
				continue // the tests give it
			}
			switch _, err := s.store.Secret(ctx, project, secret); {
			case errors.Is(err, store.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			if err := s.maySecrets(ctx, project, one.Known, []string{secret}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tested are the tools of tests, with the names by which policies and secrets know them; name is that of a tool that is tested.
func tested(t *run.Tests, name string) []run.TestedTool {
	if t.Workflow != nil {
		return t.Workflow.Tools
	}
	return []run.TestedTool{{Tool: t.Tool, Known: name}}
}

// testsOf reads the tests that were asked for, and makes them ones that can be sent to a runner; subject is the name of what they test. Those of a project are read one after the
// other: each has all files of a bundle on the disk meanwhile.
func (s *Server) testsOf(ctx context.Context, project string, n *api.NewRun, l *loaded, b *api.Bundle) (tests *run.Tests, subject string, err error) {
	if !slices.ContainsFunc(b.Files, func(f api.File) bool { return f.Path == n.Test.File }) {
		return nil, "", noTestFile(n.Test.File, b)
	}
	leave, err := s.loading.enter(ctx, "tests of "+project)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	dir, err := tempdir.New()
	if err != nil {
		return nil, "", &outageError{err}
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	in := &bundled{s: s, trees: content.Store(filepath.Join(dir.Path, "trees")), root: filepath.Join(dir.Path, "tool")}
	if err := s.unpack(ctx, b, in.root); err != nil {
		return nil, "", err
	}
	if tests, subject, err = in.tests(ctx, project, n, l); err != nil {
		return nil, "", relative(err, in.root)
	}
	var paths []string
	for _, f := range b.Files {
		paths = append(paths, f.Path)
	}
	if tests.Files, err = in.trees.Pack(ctx, in.root, paths); err != nil {
		return nil, "", err
	}
	return tests, subject, s.keepTree(ctx, in.trees, tests.Files)
}

func noTestFile(path string, b *api.Bundle) error {
	var all []string
	for _, f := range b.Files {
		if definition.IsTestFile(f.Path) {
			all = append(all, f.Path)
		}
	}
	remedy := "add it to the files; none of them has the name of a file of tests, such as checker_test.yaml"
	if len(all) > 0 {
		remedy = shape.DidYouMean(path, all, "the files of tests are "+shape.Listing(all))
	}
	return wrongAt("body.test.file", fmt.Sprintf("%.300q is not among the files", path), remedy)
}

// tests reads a file of tests in the bundle.
func (b *bundled) tests(ctx context.Context, project string, n *api.NewRun, l *loaded) (_ *run.Tests, subject string, err error) {
	file := filepath.Join(b.root, filepath.FromSlash(n.Test.File))
	data, err := shape.ReadFile(file, "test file")
	if err != nil {
		return nil, "", err
	}
	read, err := suite.Parse(n.Test.File, data)
	if err != nil {
		return nil, "", err
	}
	b.dir = filepath.Dir(file)
	read.SetDir(b.dir)
	out := &run.Tests{File: n.Test.File, Record: n.Test.Record, Timeout: testsTime}
	selected, err := selectedTests(read, n.Test)
	if err != nil {
		return nil, "", err
	}
	for _, t := range selected {
		out.Names = append(out.Names, t.Name)
		if _, err := read.Complete(t, !n.Test.Record); err != nil {
			return nil, "", err
		}
	}
	if read.Workflow != nil {
		subject, out.Workflow, err = b.workflow(ctx, project, n.Tool, read)
	} else if out.Tool, err = b.subject(ctx, read, n, l); err == nil {
		subject = out.Tool.Name
	}
	if err != nil {
		return nil, "", err
	}
	out.Secrets = slices.DeleteFunc(secretsOf(out.Tools()), func(name string) bool {
		return !slices.ContainsFunc(selected, func(t *suite.Test) bool {
			_, all := read.Secrets[name]
			_, own := t.Secrets[name]
			return !all && !own
		})
	})
	return out, subject, nil
}

// secretsOf are the names of the secrets of tools, in order.
func secretsOf(tools []*tool.Tool) (names []string) {
	for _, t := range tools {
		names = append(names, t.SecretNames()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// workflow returns the name of the workflow that a file of tests is for, and the tools of its steps, ready to be sent to a runner. Those of the bundle
// are known by the name of the bundle's tool.
func (b *bundled) workflow(ctx context.Context, project, known string, s *suite.Suite) (name string, tools *run.TestedWorkflow, err error) {
	wrong := func(text, hint string) error {
		return shape.NewError([]shape.Problem{{Position: s.Workflow.Position, Text: text, Hint: hint}})
	}
	file, err := s.WorkflowFile()
	if err != nil {
		return "", nil, err
	}
	named := shape.Quote(s.Workflow.Name)
	if !b.has(file) {
		return "", nil, wrong(named+" is outside the folder of the files", "name a file in it")
	}
	if !shape.IsFile(file) {
		return "", nil, wrong(named+" is not among the files", "add it to them, or correct its path, which is relative to the folder of the test file")
	}
	def, err := b.load(file)
	if err != nil {
		return "", nil, err
	}
	if def.Workflow == nil {
		return "", nil, wrong(named+" is a tool", "name it under tool, not under workflow")
	}
	sent(def)
	w, beside := def.Workflow, *b
	beside.dir = filepath.Dir(file)
	if err := findInBundle(w, func(step *definition.Step) (*tool.Tool, error) { return beside.toolOf(ctx, step) }); err != nil {
		return "", nil, err
	}
	pins := map[string]pin{}
	if err := resolve(w, b.s.latest(ctx, project, pins)); err != nil {
		return "", nil, err
	}
	tools = &run.TestedWorkflow{Steps: map[string]int{}}
	places := map[string]int{} // of the tools that have a name
	for _, step := range w.All() {
		place, have := places[step.Uses.Name]
		if step.Uses.Name == "" || !have {
			one := run.TestedTool{Tool: step.Uses.Tool, Known: known}
			if _, ok := pins[step.Uses.Name]; ok {
				one.Known = step.Uses.Name
			}
			place = len(tools.Tools)
			tools.Tools, places[step.Uses.Name] = append(tools.Tools, one), place
		}
		tools.Steps[step.Name] = place
	}
	return w.Name, tools, nil
}

// selectedTests are those that were asked for.
func selectedTests(s *suite.Suite, n *api.NewTest) ([]*suite.Test, error) {
	var all []*suite.Test
	var names []string
	for i := range s.Tests {
		names = append(names, s.Tests[i].Name)
		if t := &s.Tests[i]; n.Name == "" || t.Name == n.Name {
			all = append(all, t)
		}
	}
	switch {
	case len(all) == 0:
		return nil, wrongAt("body.test.name", fmt.Sprintf("%s has no test %.300q", n.File, n.Name), shape.DidYouMean(n.Name, names, "its tests are "+shape.Listing(names[:min(len(names), 20)])))
	case len(all) > mostTests:
		return nil, wrongAt("body.test.file", fmt.Sprintf("%s has %d tests; a run has at most %d", n.File, len(all), mostTests), "make several files of it, and run one after the other")
	}
	return all, nil
}

// subject returns the tool that a file of tests is for, ready to be sent to a runner. A name may be that of the bundle's own tool.
func (b *bundled) subject(ctx context.Context, s *suite.Suite, n *api.NewRun, l *loaded) (*tool.Tool, error) {
	at := s.Tool.Position
	wrong := func(text, hint string) error {
		return shape.NewError([]shape.Problem{{Position: at, Text: text, Hint: hint}})
	}
	if t := s.Tool.Inline; t != nil {
		t = t.Clone()
		t.Source.Path = s.Source.Path
		return t, b.ready(ctx, t)
	}
	name := s.Tool.Name
	if l.tool != nil && (name == l.tool.Name || name == n.Tool) {
		return l.tool.Clone(), nil
	}
	var file string
	if definition.IsPath(name) {
		file = filepath.Join(b.dir, filepath.FromSlash(name))
		if filepath.IsAbs(name) || !b.has(file) {
			return nil, wrong(shape.Quote(name)+" is outside the folder of the files", "name a file in it")
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			file = filepath.Join(file, "tool.yaml")
		}
		if !shape.IsFile(file) {
			return nil, wrong(shape.Quote(name)+" is not among the files", "add it to them, or correct its path, which is relative to the folder of the test file")
		}
	} else {
		var err error
		if file, err = b.find(name); err != nil {
			return nil, wrong(err.Error(), "")
		}
		if file == "" {
			return nil, wrong("tool "+shape.Quote(name)+" is not among the files", "write its path, relative to the folder of the test file, such as ./tool.yaml")
		}
	}
	t, err := b.loadTool(file)
	if err != nil {
		return nil, err
	}
	return t, b.ready(ctx, t)
}
