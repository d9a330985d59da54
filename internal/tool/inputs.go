package tool

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Inputs checks the values given for the tool's args and returns the tool's inputs, including defaults: in the order of the
// args, or sorted by name for a tool without args. A given value is a string, for example from a command line, or a value as
// decoded JSON has it; strings are parsed by the argument's type.
//
// It reports every problem in one *[InputError].
func (t *Tool) Inputs(given map[string]any) ([]Input, error) {
	if len(t.Args) == 0 {
		return freeInputs(given)
	}
	var out []Input
	bad := &InputError{}
	names := make([]string, len(t.Args))
	for i := range t.Args {
		a := &t.Args[i]
		names[i] = a.Name
		raw, ok := given[a.Name]
		switch {
		case ok:
			v, err := a.Value(raw)
			if err != nil {
				bad.add(a.Name, "argument %q (%s): %v", a.Name, a.Type, err)
				continue
			}
			out = append(out, Input{Name: a.Name, Env: a.Env, Value: v.Text})
		case a.Default != nil:
			out = append(out, Input{Name: a.Name, Env: a.Env, Value: a.Default.Text, Default: true})
		case a.Required:
			if bad.add(a.Name, "argument %q (%s) is required but not given%s", a.Name, a.Type, a.About()) {
				bad.missing = append(bad.missing, len(bad.Problems)-1)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(names, name) {
			continue
		}
		hint := "the tool's arguments are " + strings.Join(names, ", ")
		if near := shape.Nearest(name, names); near != "" {
			i := slices.Index(names, near)
			hint = fmt.Sprintf("did you mean %q (%s)?", near, t.Args[i].Type)
		}
		bad.add("", "unknown argument %s; %s", shape.Quote(name), hint)
	}
	if len(bad.Problems) > 0 {
		return nil, bad
	}
	return out, nil
}

// CheckInput returns what is wrong with one value for the tool, which is given as for [Tool.Inputs], or nil.
func (t *Tool) CheckInput(name string, value any) error {
	if len(t.Args) == 0 {
		_, err := freeInputs(map[string]any{name: value})
		return err
	}
	for i := range t.Args {
		if t.Args[i].Name == name {
			if _, err := t.Args[i].Value(value); err != nil {
				return fmt.Errorf("input %q (%s): %w", name, t.Args[i].Type, err)
			}
		}
	}
	return nil
}

// Shown returns an input's value as a plan shows it: a [shape.Scalar] as written if the tool gets its text, and otherwise its meaning.
func (t *Tool) Shown(name string, value any) (any, error) {
	s, ok := value.(shape.Scalar)
	i := slices.IndexFunc(t.Args, func(a Arg) bool { return a.Name == name })
	if ok && (len(t.Args) == 0 || i >= 0 && t.Args[i].Type == shape.TypeString) {
		return s.Text, nil
	}
	return shape.Decoded(value)
}

// About returns the first line of the argument's description after ": ", for the end of a sentence, or "".
func (a *Arg) About() string {
	if line, _, _ := strings.Cut(a.Description, "\n"); line != "" {
		return ": " + line
	}
	return ""
}

// Value reads one given value by the argument's type and checks it against its options.
func (a *Arg) Value(raw any) (shape.Value, error) {
	v, err := shape.ValueOf(a.Type, raw)
	if err != nil {
		return v, err
	}
	if len(a.Options) > 0 && !slices.ContainsFunc(a.Options, v.Equal) {
		return v, fmt.Errorf("%s is not among its options, %s", shape.Quote(v.Text), optionList(a.Options))
	}
	return v, nil
}

// freeInputs returns the inputs of a tool without args: each becomes the variable of the same name.
func freeInputs(given map[string]any) ([]Input, error) {
	out := make([]Input, 0, len(given))
	bad := &InputError{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !ValidEnvName(name) {
			_, hint := CheckEnvName(name)
			bad.add("", "input %s can't be a variable; %s", shape.Quote(name), hint)
			continue
		}
		if steersLoader(name) {
			bad.add(name, "input %q would change how the tool's programs start; to allow it, declare it in the tool's args", name)
			continue
		}
		text, err := shape.TextOf(given[name])
		if err != nil {
			bad.add(name, "input %q: %v", name, err)
			continue
		}
		out = append(out, Input{Name: name, Env: name, Value: text})
	}
	if len(bad.Problems) > 0 {
		return nil, bad
	}
	return out, nil
}

// steersLoader reports whether a variable decides which code a program runs before its own. Someone who may give inputs to a
// tool must not be able to replace what it does with its secrets. Languages have more such variables; a tool excludes them by
// declaring args.
func steersLoader(name string) bool {
	return name == "PATH" || name == "BASH_ENV" || name == "IFS" || strings.HasPrefix(name, "LD_") || isReserved(name)
}

// InputError is the error of all inputs given to a tool. Each problem is one sentence.
type InputError struct {
	Problems []string `json:"problems"`

	names   []string // of the inputs that the problems are about; "" for one that the tool can't have
	missing []int    // the problems of required arguments that have no value
}

// Of returns the name of the input that a problem is about, or "" if the tool has no such input.
func (e *InputError) Of(i int) string {
	if i >= len(e.names) {
		return ""
	}
	return e.names[i]
}

// add adds a problem of an input, and reports whether there was room for it.
func (e *InputError) add(name, format string, args ...any) bool {
	if len(e.Problems) >= shape.MaxProblems {
		return false
	}
	e.Problems, e.names = append(e.Problems, fmt.Sprintf(format, args...)), append(e.names, name)
	return true
}

// ExplainMissing adds to the problem of each required argument that has no value how to give it, which only the caller knows.
func (e *InputError) ExplainMissing(how func(name string) string) {
	for _, i := range e.missing {
		e.Problems[i] += "; " + how(e.names[i])
	}
}

// Error returns one line per problem.
func (e *InputError) Error() string { return strings.Join(e.Problems, "\n") }
