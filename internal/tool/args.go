package tool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// rawArg is an argument as written. Its values are read when its type is known.
type rawArg struct {
	Arg
	fallback *yaml.Node
	options  []*yaml.Node
}

// ArgShape returns the shape of a typed input.
func ArgShape() shape.Shape[Arg] {
	options := shape.List("an option", shape.Node())
	options.Schema = shape.Schema{"type": "array", "minItems": 1}
	raw := shape.ObjectWithHints("an argument", []shape.Field[rawArg]{
		shape.Required(shape.Bind("name", "The input's name.", shape.Text(shape.Schema{"pattern": NamePattern}, CheckName),
			func(a *rawArg) *string { return &a.Name })),
		shape.Bind("type", "The input's type; string by default.", shape.Choice("type", shape.Types()...),
			func(a *rawArg) *string { return &a.Type }),
		shape.Bind("description", "What the input means, for people.", shape.Text(nil, shape.Printable),
			func(a *rawArg) *string { return &a.Description }),
		shape.Bind("required", "Whether the input must be given, if it has no default.", shape.Boolean(),
			func(a *rawArg) *bool { return &a.Required }),
		shape.Bind("default", "The default value.", shape.Node(),
			func(a *rawArg) **yaml.Node { return &a.fallback }),
		shape.Bind("options", "The only values allowed.", options,
			func(a *rawArg) *[]*yaml.Node { return &a.options }),
		shape.Bind("env", "The variable that gets the input; by default the name in upper case.", shape.Text(shape.Schema{"pattern": EnvPattern}, CheckEnvName),
			func(a *rawArg) *string { return &a.Env }),
	}, hintsForArgument, finishArg)
	return shape.Located(shape.Convert(raw, func(a rawArg) Arg { return a.Arg }), func(a Arg, p shape.Position) Arg {
		a.Position = p
		return a
	})
}

// finishArg fills in what an argument leaves out, and reads its values by its type.
func finishArg(d *shape.Decoder, n *yaml.Node, a *rawArg) {
	if a.Type == "" {
		if shape.Has(n, "type") {
			return // the type is invalid, so the values can't be checked
		}
		a.Type = shape.TypeString
	}
	if a.Env == "" && !shape.Has(n, "env") && a.Name != "" {
		a.Env = strings.ToUpper(strings.ReplaceAll(a.Name, "-", "_"))
		if !ValidEnvName(a.Env) {
			d.Report(shape.Child(n, "name"), fmt.Sprintf("argument %s has no variable: %s can't be the name of one", shape.Quote(a.Name), shape.Quote(a.Env)), "add env: NAME")
		}
	}
	label := "an argument"
	if a.Name != "" {
		label = "argument " + shape.Quote(a.Name)
	}
	if options := shape.Resolve(shape.Child(n, "options")); shape.Has(n, "options") && options.Kind == yaml.SequenceNode && len(options.Content) == 0 {
		d.Report(options, label+" has an empty list of options", "leave options out to allow every value")
	}
	given := map[string]bool{}
	for _, o := range a.options {
		v, wrong, hint := shape.NodeValue(a.Type, o)
		if wrong != "" {
			d.Report(o, fmt.Sprintf("an option of %s %s", label, wrong), hint)
			continue
		}
		if given[v.Key()] {
			d.Report(o, fmt.Sprintf("an option of %s is given twice: %s", label, shape.Quote(v.Text)), "")
			continue
		}
		given[v.Key()] = true
		a.Options = append(a.Options, v)
	}
	if a.fallback == nil {
		return
	}
	v, wrong, hint := shape.NodeValue(a.Type, a.fallback)
	if wrong != "" {
		d.Report(a.fallback, fmt.Sprintf("the default of %s %s", label, wrong), hint)
		return
	}
	if len(a.options) > 0 && len(a.Options) == len(a.options) && !given[v.Key()] {
		d.Report(a.fallback, fmt.Sprintf("the default of %s, %s, is not among its options", label, shape.Quote(v.Text)), "the options are "+optionList(a.Options))
		return
	}
	a.Default = &v
}

func optionList(options []shape.Value) string {
	words := make([]string, len(options))
	for i, o := range options {
		words[i] = shape.Quote(o.Text)
	}
	return shape.Listing(words)
}

// argsOfTool returns the shape of a tool's args. A list of plain words is a mistake: Kubernetes calls the words after the program args.
func argsOfTool() shape.Shape[[]Arg] {
	s := shape.List("an argument", ArgShape())
	read := s.Read
	s.Read = func(d *shape.Decoder, n *yaml.Node, label string) ([]Arg, bool) {
		r := shape.Resolve(n)
		if r.Kind != yaml.SequenceNode || len(r.Content) == 0 || slices.ContainsFunc(r.Content, func(c *yaml.Node) bool { return shape.Resolve(c).Kind != yaml.ScalarNode }) {
			return read(d, n, label)
		}
		words := make([]string, len(r.Content))
		for i, c := range r.Content {
			words[i] = shape.Resolve(c).Value
		}
		d.Report(n, "args are the inputs that a tool takes, not words of its command", "put them after the program: command: [PROGRAM, "+shape.Brief(strings.Join(words, ", "))+"]; an input is {name: NAME}")
		return nil, false
	}
	return s
}
