// Package definition reads what people write for a run: a tool, or a workflow, which chains tools. It finds both by their
// names, and reports what is wrong with a workflow and with the tools that it names. Package workflow plans what the steps of
// a workflow do.
package definition

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"go.yaml.in/yaml/v3"
)

// Definition is the content of a file. Exactly one field is set.
type Definition struct {
	Tool     *tool.Tool
	Workflow *Workflow
}

// Load reads the tool or workflow in a file; see [tool.Load] for the errors. The folder of its Source is absolute.
func Load(file string) (*Definition, error) {
	data, err := shape.ReadFile(file, "definition")
	if err != nil {
		return nil, err
	}
	def, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	// The process that runs it may have another working directory.
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	def.SetDir(dir)
	return def, nil
}

// SetDir says which folder the definition's files are in.
func (d *Definition) SetDir(dir string) {
	if d.Tool != nil {
		d.Tool.Source.Dir = dir
		return
	}
	d.Workflow.Source.Dir = dir
	for _, s := range d.Workflow.All() {
		if t := s.Uses.Tool; t != nil {
			t.Source.Dir = dir
		}
	}
}

// Parse reads a tool or workflow from data; see [tool.Parse].
func Parse(name string, data []byte) (*Definition, error) {
	d, root := tool.FormatOf(data).Open(name, data)
	if root == nil {
		return nil, d.Err()
	}
	if err := notRunnable(d, root); err != nil {
		return nil, err
	}
	if tool.WorkflowKey(root) == nil {
		if misspelt(d, root); d.Count() > 0 {
			return nil, d.Err()
		}
		t, err := tool.Decode(d, name, root)
		if err != nil {
			return nil, err
		}
		return &Definition{Tool: t}, nil
	}
	w, _ := workflowShape().Read(d, root, "a workflow")
	if err := d.Err(); err != nil {
		return nil, err
	}
	at := d.Position(root)
	w.Source = tool.Source{Path: at.File, Position: at}
	if w.Name == "" {
		w.Name = tool.NameOf(name)
	}
	for _, s := range w.All() {
		if t := s.Uses.Tool; t != nil {
			t.Source.Path = at.File
		}
	}
	return &Definition{Workflow: &w}, nil
}

// NotRunnableError is the error of a file of tests or of mocks, which can't be run by itself.
type NotRunnableError struct {
	Mocks bool  // the file has mocks, otherwise tests
	err   error // an *[shape.Error]
}

// notRunnable recognises files of tests and of mocks by their top-level keys.
func notRunnable(d *shape.Decoder, root *yaml.Node) error {
	if shape.KeyOf(root, "image", "command", "script", "parallel_tools") != nil {
		return nil
	}
	tests := shape.KeyOf(root, "tests")
	mocks := shape.KeyOf(root, "http", "commands")
	if tests != nil && shape.Resolve(shape.Child(root, "tests")).Kind == yaml.MappingNode && shape.KeyOf(root, "tool", "workflow") == nil {
		tests, mocks = nil, tests // mocks of single tests, by name
	}
	switch {
	case tests != nil:
		d.Report(tests, "this is a file of tests", "run it with mayfly test")
		return &NotRunnableError{err: d.Err()}
	case mocks != nil && shape.KeyOf(root, "tool", "workflow") == nil:
		d.Report(mocks, "this is a file of mocks", "name it in a file of tests: mocks: FILE")
		return &NotRunnableError{Mocks: true, err: d.Err()}
	}
	return nil
}

// misspelt reports a key that was probably meant to make the file a workflow: a misspelt one, or the key of another program.
// Without this, every other key would be reported as unknown.
func misspelt(d *shape.Decoder, root *yaml.Node) {
	kinds := []string{"workflow", "parallel_tools"}
	if root.Kind != yaml.MappingNode || shape.KeyOf(root, "image", "command", "script") != nil {
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := shape.Resolve(root.Content[i]).Value
		if shape.Resolve(root.Content[i+1]).Kind != yaml.SequenceNode {
			continue
		}
		near, other := shape.Nearest(key, kinds), hintsForWorkflow()[key]
		switch {
		case near != "":
			d.Report(root.Content[i], fmt.Sprintf("unknown key %s", shape.Quote(key)), shape.DidYouMean(key, kinds, ""))
			return
		case slices.Contains(kinds, other):
			d.Report(root.Content[i], fmt.Sprintf("unknown key %s", shape.Quote(key)), "a workflow's steps go under "+other)
			return
		}
	}
}

func (e *NotRunnableError) Error() string { return e.err.Error() }

// Unwrap returns the *[shape.Error] of the file.
func (e *NotRunnableError) Unwrap() error { return e.err }

// Resolve finds and reads the tools that the steps name, and then checks what needs them: the inputs that steps give, and the
// outputs that they refer to. It reports every problem in one *[shape.Error]. If another user could have put a tool there,
// the error wraps an *[ownership.UntrustedError] instead.
func (w *Workflow) Resolve() error {
	r := &resolver{w: w, tools: map[string]*resolved{}}
	return r.resolve(func(s *Step) {
		if s.Uses.Tool == nil {
			r.find(s)
		} else if err := s.Uses.Tool.CheckFiles(w.search); err != nil {
			r.add(s, err)
		} else if err := s.Uses.Tool.ReadFiles(); err != nil {
			r.add(s, err)
		}
	})
}

// ResolveBy is like [Workflow.Resolve], with tools that find returns, which has read their files. A step whose tool is defined in
// place, or was resolved already, has it in Uses.Tool.
func (w *Workflow) ResolveBy(find func(s *Step) (*tool.Tool, error)) error {
	r := &resolver{w: w}
	return r.resolve(func(s *Step) {
		t, err := find(s)
		if err != nil {
			r.add(s, err)
		}
		s.Uses.Tool = t
	})
}

// Clone returns a workflow whose steps can be given other tools.
func (w *Workflow) Clone() *Workflow {
	out := *w
	out.Steps, out.Finally = slices.Clone(w.Steps), slices.Clone(w.Finally)
	return &out
}

// resolve has each step get its tool, and then checks what needs them.
func (r *resolver) resolve(find func(s *Step)) error {
	all := r.w.All()
	for _, s := range all {
		find(s)
	}
	if len(r.problems) == 0 && r.refused == nil {
		byName := make(map[string]*Step, len(all))
		for _, s := range all {
			byName[s.Name] = s
		}
		for _, s := range all {
			if len(r.problems) >= shape.MaxProblems {
				break
			}
			r.runnable(s)
			r.inputs(s)
			s.References(func(ref Reference, p shape.Position) { r.output(byName, ref, p) })
		}
	}
	switch {
	case r.refused != nil:
		return r.refused
	case len(r.problems) > 0:
		return shape.NewError(r.problems)
	}
	return nil
}

// FoundBy records which search found the workflow, so that the files of its tools are checked like the workflow's.
func (w *Workflow) FoundBy(s ownership.Search) { w.search = s }

// resolver reads each tool once.
type resolver struct {
	w        *Workflow
	tools    map[string]*resolved
	problems []shape.Problem
	refused  error // the first error that wraps an [ownership.UntrustedError]
}

type resolved struct {
	tool *tool.Tool
	err  error
}

func (r *resolver) at(p shape.Position, text, hint string) {
	r.problems = append(r.problems, shape.Problem{Position: p, Text: text, Hint: hint})
}

// add reports an error about a step's tool: the problems in the tool's file if it has any, and otherwise one problem of the step.
func (r *resolver) add(s *Step, err error) {
	var own *shape.Error
	if errors.As(err, &own) {
		r.problems = append(r.problems, own.Problems...)
		return
	}
	var refused *ownership.UntrustedError
	if errors.As(err, &refused) && r.refused == nil {
		r.refused = &shape.PlacedError{Position: s.Uses.Position, Err: fmt.Errorf("the tool of step %s: %w", shape.Quote(s.Name), err)}
	}
	var missing *NotFoundError
	if errors.As(err, &missing) {
		hint := "looked for " + strings.Join(missing.Looked, ", ")
		if missing.Nearest != "" {
			hint = fmt.Sprintf("did you mean %q?", missing.Nearest)
		}
		r.at(s.Uses.Position, fmt.Sprintf("step %s: there is no tool %s", shape.Quote(s.Name), shape.Quote(missing.Name)), hint)
		return
	}
	r.at(s.Uses.Position, fmt.Sprintf("the tool of step %s: %v", shape.Quote(s.Name), err), "")
}

func (r *resolver) find(s *Step) {
	found, known := r.tools[s.Uses.Name]
	if !known {
		found = &resolved{}
		found.tool, found.err = r.load(s.Uses.Name)
		r.tools[s.Uses.Name] = found
		if found.err != nil {
			r.add(s, found.err)
		}
	}
	s.Uses.Tool = found.tool
}

func (r *resolver) load(name string) (*tool.Tool, error) {
	if r.w.Source.Dir == "" && (IsPath(name) && !filepath.IsAbs(name)) {
		return nil, errors.New("the workflow isn't in a file, so there is no folder for its files; save it to a file")
	}
	path, given := name, r.w.search
	if given.Above == "" {
		given = r.w.Source.Search()
	}
	switch {
	case !IsPath(name):
		found, err := FindFor(r.w.Source.Dir, name, given)
		if err != nil {
			return nil, err
		}
		path, given.Above = found.File, cmp.Or(given.Above, found.Search.Above)
	case !filepath.IsAbs(name):
		path = filepath.Join(r.w.Source.Dir, filepath.FromSlash(name))
	}
	if err := given.Check(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t, err := tool.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", path)
	}
	if err != nil {
		return nil, err
	}
	if t.Source.Dir, err = filepath.Abs(t.Source.Dir); err != nil {
		return nil, err
	}
	if err := t.CheckFiles(given); err != nil {
		return nil, err
	}
	return t, t.ReadFiles()
}

func (r *resolver) runnable(s *Step) {
	if err := s.Uses.Tool.Runnable(); err != nil {
		r.add(s, err)
	}
}

// inputs checks the inputs of a step against its tool's args: all their names, and the values without references.
func (r *resolver) inputs(s *Step) {
	t := s.Uses.Tool
	if len(t.Args) == 0 {
		for _, in := range s.Inputs {
			value, ok := literal(in.Value)
			if !ok {
				value = ""
			}
			if err := t.CheckInput(in.Name, value); err != nil {
				r.at(in.Position, fmt.Sprintf("step %s: %v", shape.Quote(s.Name), err), "")
			}
		}
		return
	}
	given := map[string]bool{}
	names := make([]string, len(t.Args))
	for i, a := range t.Args {
		names[i] = a.Name
	}
	for _, in := range s.Inputs {
		given[in.Name] = true
		i := slices.Index(names, in.Name)
		if i < 0 {
			r.at(in.Position, fmt.Sprintf("step %s gives the input %s, which tool %s doesn't take", shape.Quote(s.Name), shape.Quote(in.Name), shape.Quote(t.Name)), shape.DidYouMean(in.Name, names, "it takes "))
			continue
		}
		value, ok := literal(in.Value)
		if !ok {
			continue
		}
		if _, err := t.Args[i].Value(value); err != nil {
			r.at(in.Position, fmt.Sprintf("step %s, input %s (%s): %v", shape.Quote(s.Name), shape.Quote(in.Name), t.Args[i].Type, err), "")
		}
	}
	for _, a := range t.Args {
		if a.Required && a.Default == nil && !given[a.Name] {
			r.at(s.Position, fmt.Sprintf("step %s doesn't give the input %s (%s), which tool %s requires%s", shape.Quote(s.Name), shape.Quote(a.Name), a.Type, shape.Quote(t.Name), a.About()), fmt.Sprintf("add inputs: {%s: …}", a.Name))
		}
	}
}

// literal returns an input's value if it has no references.
func literal(v any) (any, bool) {
	out, err := Substitute(v, func(Reference) (any, error) { return nil, errHasReference })
	return out, err == nil
}

var errHasReference = errors.New("it has a reference")

// output checks that a step promises the output that a reference names.
func (r *resolver) output(steps map[string]*Step, ref Reference, p shape.Position) {
	if !ref.IsOutput() {
		return
	}
	from := steps[ref.Step]
	promised := from.Promises()
	if slices.Index(promised, ref.Name) >= 0 {
		return
	}
	hint := fmt.Sprintf("add it to that step: outputs: [%s]", ref.Name)
	if near := shape.Nearest(ref.Name, promised); near != "" {
		hint = fmt.Sprintf("did you mean ${%s.%s}?", ref.Step, near)
	}
	r.at(p, fmt.Sprintf("step %s doesn't promise the output %s", shape.Quote(ref.Step), shape.Quote(ref.Name)), hint)
}

// Values checks the values given for the workflow's inputs, as [tool.Tool.Inputs] does, and returns the value of each input
// as decoded JSON has it. An input without a given value and without a default has the empty value of its type.
func (w *Workflow) Values(given map[string]any) (map[string]any, error) {
	if len(w.Inputs) == 0 {
		if len(given) > 0 {
			return nil, &tool.InputError{Problems: []string{"the workflow takes no inputs; declare them: inputs: [{name: …}]"}}
		}
		return map[string]any{}, nil
	}
	checked, err := (&tool.Tool{Args: w.Inputs}).Inputs(given)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(w.Inputs))
	for _, a := range w.Inputs {
		out[a.Name] = shape.EmptyValue(a.Type)
	}
	for _, in := range checked {
		for _, a := range w.Inputs {
			if a.Name == in.Name {
				out[a.Name] = shape.Value{Type: a.Type, Text: in.Value}.Decoded()
			}
		}
	}
	return out, nil
}

// SetTimeout sets the timeout of all steps together from its text, such as 90s.
func (w *Workflow) SetTimeout(value string) error {
	v, err := shape.Decode(tool.TimeoutShape(), shape.Plain(value), "timeout")
	if err != nil {
		return err
	}
	w.Timeout = v
	return nil
}
