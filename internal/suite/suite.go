// Package suite reads files of tests of tools and workflows, and files of mocks: what is tested, what answers instead of the
// real world, and what is expected. Mocks and expectations share their matchers, which are conditions for a text, a request
// or a call.
package suite

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Suite is one file of tests: what is tested, what applies to all its tests, and the tests.
type Suite struct {
	// Tool and Workflow say what is tested; exactly one is set.
	Tool *Subject
	// Workflow is the name or the path of a workflow.
	Workflow *Subject
	// Fixture applies to all tests.
	Fixture
	Tests []Test

	Source tool.Source
}

// Subject is what a suite tests: a name or a path, or a tool defined in the suite.
type Subject struct {
	Name     string
	Inline   *tool.Tool
	Position shape.Position
}

// Fixture is what a test gives a tool instead of the real world.
type Fixture struct {
	Environment []tool.EnvVar
	// Inputs are values as decoded JSON has them, with a [shape.Scalar] for each value without quotes that isn't text.
	Inputs map[string]any
	// Secrets are values of secrets by name, which take precedence over the machine's own.
	Secrets map[string]string
	HTTP    []HTTPMock
	// Commands are the mocked commands.
	Commands []CommandMock
	// MockFile is a file of further mocks inside the suite's folder; nil for none.
	MockFile *FileRef
	// AllowNetwork is what a test may really reach.
	AllowNetwork []network.Rule
	Timeout      time.Duration
}

// FileRef is a path that a suite names, inside the suite's folder.
type FileRef struct {
	Path     string
	Position shape.Position
}

// Test is one run with its fixture and expectations.
type Test struct {
	Name string
	Fixture
	// Steps are the steps of a workflow that don't run but end as given here, by name.
	Steps    map[string]StepMock
	Expect   Expect
	Position shape.Position
}

// StepMock is the given end of a workflow's step that doesn't run.
type StepMock struct {
	Outputs  map[string]string
	Status   string
	ExitCode *int
	Stdout   string
	Position shape.Position
}

// Expect is what a test expects; fields that aren't set aren't checked.
type Expect struct {
	// ExitCode is nil if the test doesn't give it; AnyExit accepts any exit status.
	ExitCode *int
	AnyExit  bool
	Status   string
	Stdout   *Matcher
	Stderr   *Matcher
	Outputs  map[string]Matcher
	Requests []RequestExpect
	Commands []CallExpect
	// InOrder requires that the first matches of Requests come in their order.
	InOrder bool
	// AllMocksUsed requires that every mock of the test answers at least once.
	AllMocksUsed bool
	// Steps are the expected states of a workflow's steps, by name.
	Steps map[string]string
}

// RequestExpect describes requests that a tool must make: Count of them, or at least one if it is nil.
type RequestExpect struct {
	RequestMatch
	Count    *int
	Position shape.Position
}

// CallExpect describes calls of a mocked command that a tool must make: Count of them, or at least one if it is nil.
type CallExpect struct {
	Command  string
	Args     *ArgsMatch
	Stdin    *Matcher
	Count    *int
	Position shape.Position
}

// MockSet is a file of mocks: for all tests of a suite, and for single tests by name.
type MockSet struct {
	HTTP     []HTTPMock
	Commands []CommandMock
	Tests    map[string]MockSet
}

// suiteFormat returns the format of files of tests and of mocks. Its bounds are large because a recording may have written the file.
func suiteFormat() shape.Format {
	return shape.Format{
		Bounds: shape.LargeBounds(), Foreign: tool.ForeignFile,
		Empty: "add tool: NAME and tests: [{name: NAME}]", TooLarge: "put long bodies in files beside it: file: NAME",
		TooManyParts: "write long text as a block (\"body: |\"), or put it in a file beside this one",
	}
}

// Parse reads a suite from data, as [tool.Parse] does for a tool.
func Parse(name string, data []byte) (*Suite, error) {
	d, root := suiteFormat().Open(name, data)
	if root == nil {
		return nil, d.Err()
	}
	if key := shape.KeyOf(root, "image", "command", "script", "parallel_tools", "workflow"); key != nil && shape.KeyOf(root, "tests", "tool") == nil {
		d.Report(key, "this is not a test file: it has no key tests", "add tests, or run a tool or a workflow with mayfly run")
		return nil, d.Err()
	}
	s, _ := suiteShape().Read(d, root, "a test file")
	if err := d.Err(); err != nil {
		return nil, err
	}
	at := d.Position(root)
	s.Source = tool.Source{Path: at.File, Position: at}
	if s.Tool != nil && s.Tool.Inline != nil && s.Tool.Inline.Name == "" {
		s.Tool.Inline.Name = tool.NameOf(name)
	}
	return &s, nil
}

// Load reads the suite in a file.
func Load(file string) (*Suite, error) {
	data, err := shape.ReadFile(file, "test file")
	if err != nil {
		return nil, err
	}
	s, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	s.SetDir(filepath.Dir(file))
	return s, nil
}

// SetDir sets the folder of the suite, which contains its files and those of an inline tool.
func (s *Suite) SetDir(dir string) {
	s.Source.Dir = dir
	if s.Tool != nil && s.Tool.Inline != nil {
		s.Tool.Inline.Source.Dir = dir
	}
}

// LoadTool returns the tool under test, ready to run: a copy of the inline tool, or the named one. A path is relative to the
// suite's folder.
func (s *Suite) LoadTool() (*tool.Tool, error) {
	if s.Tool.Inline != nil {
		t := s.Tool.Inline.Clone()
		return t, t.ReadFiles()
	}
	file, found, err := s.subjectFile(s.Tool)
	if err != nil {
		return nil, err
	}
	t, err := tool.Load(file)
	if err != nil {
		return nil, &shape.PlacedError{Position: s.Tool.Position, Err: err}
	}
	// The shim, which copies the tool's files, has another working directory.
	if t.Source.Dir, err = filepath.Abs(t.Source.Dir); err != nil {
		return nil, err
	}
	if err := t.CheckFiles(found); err != nil {
		return nil, &shape.PlacedError{Position: s.Tool.Position, Err: err}
	}
	return t, t.ReadFiles()
}

// WorkflowFile returns the path of the workflow under test. It looks for a workflow given by name at NAME.yaml and
// workflows/NAME.yaml in the suite's folder.
func (s *Suite) WorkflowFile() (string, error) {
	name := s.Workflow.Name
	if definition.IsPath(name) {
		return s.path(name), nil
	}
	var looked []string
	for _, candidate := range []string{name + ".yaml", name + ".yml", filepath.Join("workflows", name+".yaml"), filepath.Join("workflows", name+".yml")} {
		file := filepath.Join(s.Source.Dir, candidate)
		if shape.IsFile(file) {
			return file, nil
		}
		looked = append(looked, file)
	}
	return "", shape.NewError([]shape.Problem{{
		Position: s.Workflow.Position, Text: fmt.Sprintf("workflow %s is not found", shape.Quote(name)),
		Hint: "looked for " + shape.Listing(looked),
	}})
}

// LoadWorkflow returns the workflow under test with its tools. It is an error if the tests name steps that the workflow doesn't have.
func (s *Suite) LoadWorkflow() (*definition.Workflow, error) {
	return s.loadWorkflow((*definition.Workflow).Resolve)
}

// LoadWorkflowWith is LoadWorkflow with the tools of the steps, by the steps' names, instead of those that the workflow names.
func (s *Suite) LoadWorkflowWith(tools map[string]*tool.Tool) (*definition.Workflow, error) {
	return s.loadWorkflow(func(w *definition.Workflow) error {
		return w.ResolveBy(func(step *definition.Step) (*tool.Tool, error) {
			if t := tools[step.Name]; t != nil {
				return t.Clone(), nil
			}
			return nil, errors.New("it is not among the tools that the server has sent")
		})
	})
}

func (s *Suite) loadWorkflow(resolve func(*definition.Workflow) error) (*definition.Workflow, error) {
	file, err := s.WorkflowFile()
	if err != nil {
		return nil, err
	}
	r := s.Source.Search()
	if !definition.IsPath(s.Workflow.Name) {
		if r.Above, err = filepath.Abs(s.Source.Dir); err != nil {
			return nil, err
		}
		if err := r.Check(file); err != nil {
			return nil, &shape.PlacedError{Position: s.Workflow.Position, Err: err}
		}
	}
	def, err := definition.Load(file)
	if err != nil {
		return nil, &shape.PlacedError{Position: s.Workflow.Position, Err: err}
	}
	if def.Workflow == nil {
		return nil, &shape.PlacedError{Position: s.Workflow.Position, Err: fmt.Errorf("%s is a tool; name it under tool, not under workflow", file)}
	}
	def.Workflow.FoundBy(r)
	if err := resolve(def.Workflow); err != nil {
		return nil, err
	}
	var names []string
	for _, step := range def.Workflow.All() {
		names = append(names, step.Name)
	}
	var problems []shape.Problem
	unknown := func(name string, p shape.Position) {
		if !slices.Contains(names, name) {
			problems = append(problems, shape.Problem{Position: p, Text: "the workflow has no step " + shape.Quote(name), Hint: shape.DidYouMean(name, names, "its steps are ")})
		}
	}
	for _, t := range s.Tests {
		for _, name := range slices.Sorted(maps.Keys(t.Steps)) {
			unknown(name, t.Steps[name].Position)
		}
		for _, name := range slices.Sorted(maps.Keys(t.Expect.Steps)) {
			unknown(name, t.Position)
		}
	}
	if len(problems) > 0 {
		return nil, shape.NewError(problems)
	}
	return def.Workflow, nil
}

// subjectFile returns the file of what is tested, and how far the search for it went.
func (s *Suite) subjectFile(subject *Subject) (string, ownership.Search, error) {
	given := s.Source.Search()
	if definition.IsPath(subject.Name) {
		return s.path(subject.Name), given, nil
	}
	found, err := definition.FindFor(cmp.Or(s.Source.Dir, "."), subject.Name, given)
	if err != nil {
		return "", given, &shape.PlacedError{Position: subject.Position, Err: err}
	}
	return found.File, found.Search, nil
}

// path resolves a path that the suite gives, relative to its folder.
func (s *Suite) path(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.Source.Dir, name)
}

// ReadMocks reads a file of mocks that a suite names.
func (s *Suite) ReadMocks(ref *FileRef) (*MockSet, error) {
	data, err := shape.ReadInside(cmp.Or(s.Source.Dir, "."), ref.Path, shape.LargeBounds().FileSize)
	if err != nil {
		return nil, shape.NewError([]shape.Problem{{
			Position: ref.Position, Text: fmt.Sprintf("file of mocks %q can't be read: %v", ref.Path, err),
			Hint: "write it, or have mayfly test --record write it; the path is relative to the folder of the test file",
		}})
	}
	return ParseMocks(filepath.Join(s.Source.Dir, filepath.FromSlash(ref.Path)), []byte(data))
}

// LoadMocks reads a file of mocks alone, to check it.
func LoadMocks(file string) error {
	data, err := shape.ReadFile(file, "mocks")
	if err != nil {
		return err
	}
	_, err = ParseMocks(file, data)
	return err
}

// ParseMocks reads a file of mocks from data.
func ParseMocks(name string, data []byte) (*MockSet, error) {
	set, err := shape.Parse(suiteFormat(), name, data, mockSetShape(), "a file of mocks")
	if err != nil {
		return nil, err
	}
	label := filepath.Base(name) + " "
	set.label(label)
	for key, one := range set.Tests {
		one.label(label + "tests." + key + ".")
	}
	return &set, nil
}

// label adds to the names of mocks where they come from.
func (m *MockSet) label(prefix string) {
	for i := range m.HTTP {
		m.HTTP[i].Label = prefix + m.HTTP[i].Label
	}
	for i := range m.Commands {
		m.Commands[i].Label = prefix + m.Commands[i].Label
	}
}

// Complete returns the fixture of one test, merged with what the suite gives for all tests. If mocks is true it includes the
// mocks in files. The test's own mocks come first, so that they answer first.
func (s *Suite) Complete(t *Test, mocks bool) (Fixture, error) {
	w := t.Fixture
	w.Environment = slices.Concat(s.Environment, t.Environment)
	w.Inputs = merged(s.Inputs, t.Inputs)
	w.Secrets = merged(s.Secrets, t.Secrets)
	w.AllowNetwork = slices.Concat(t.AllowNetwork, s.AllowNetwork)
	if w.Timeout == 0 {
		w.Timeout = s.Timeout
	}
	common := MockSet{HTTP: slices.Clone(s.HTTP), Commands: slices.Clone(s.Commands)}
	common.label("the file's ")
	w.HTTP = slices.Concat(t.HTTP, common.HTTP)
	w.Commands = slices.Concat(t.Commands, common.Commands)
	if !mocks {
		return w, nil
	}
	for _, ref := range []*FileRef{t.MockFile, s.MockFile} {
		if ref == nil {
			continue
		}
		set, err := s.ReadMocks(ref)
		if err != nil {
			return w, err
		}
		own := set.Tests[t.Name]
		w.HTTP = slices.Concat(w.HTTP, own.HTTP, set.HTTP)
		w.Commands = slices.Concat(w.Commands, own.Commands, set.Commands)
	}
	return w, nil
}

// merged returns a map of both; the second takes precedence.
func merged[V any](first, second map[string]V) map[string]V {
	out := make(map[string]V, len(first)+len(second))
	for _, m := range []map[string]V{first, second} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}
