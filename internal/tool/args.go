package tool

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// types lists the types of an argument.
func types() []string {
	return []string{TypeString, TypeInteger, TypeNumber, TypeBoolean, TypeArray, TypeObject}
}

// rawArg is an argument as written; its values wait for its type.
type rawArg struct {
	Arg
	fallback *yaml.Node
	options  []*yaml.Node
}

func argShape() shape[Arg] {
	options := list("an option", node())
	options.schema = schema{"type": "array", "minItems": 1}
	raw := objectWithHints("an argument", []field[rawArg]{
		needed(bind("name", "The input's name.", text(schema{"pattern": namePattern}, checkName),
			func(a *rawArg) *string { return &a.Name })),
		bind("type", "The input's type; string where none is given.", choice("type", types()...),
			func(a *rawArg) *string { return &a.Type }),
		bind("description", "What the input means, for people.", text(nil, checkPrintable),
			func(a *rawArg) *string { return &a.Description }),
		bind("required", "Whether the input must be given, if it has no default.", boolean(),
			func(a *rawArg) *bool { return &a.Required }),
		bind("default", "The value where none is given.", node(),
			func(a *rawArg) **yaml.Node { return &a.fallback }),
		bind("options", "The only values allowed.", options,
			func(a *rawArg) *[]*yaml.Node { return &a.options }),
		bind("env", "The variable that the input arrives in; the name in upper case where none is given.", text(schema{"pattern": envPattern}, checkEnvName),
			func(a *rawArg) *string { return &a.Env }),
	}, hintsForArgument, finishArg)
	return located(convert(raw, func(a rawArg) Arg { return a.Arg }), func(a Arg, p Position) Arg {
		a.Position = p
		return a
	})
}

// finishArg fills in what an argument leaves out and reads its values by its type.
func finishArg(d *decoder, n *yaml.Node, a *rawArg) {
	if a.Type == "" {
		if has(n, "type") {
			return // not a type; its values can't be judged
		}
		a.Type = TypeString
	}
	if a.Env == "" && !has(n, "env") && a.Name != "" {
		a.Env = strings.ToUpper(strings.ReplaceAll(a.Name, "-", "_"))
		if !ValidEnvName(a.Env) {
			d.report(child(n, "name"), fmt.Sprintf("argument %s has no variable, since %s can't be one", quote(a.Name), quote(a.Env)), "add env: NAME")
		}
	}
	label := "an argument"
	if a.Name != "" {
		label = "argument " + quote(a.Name)
	}
	if options := resolve(child(n, "options")); has(n, "options") && options.Kind == yaml.SequenceNode && len(options.Content) == 0 {
		d.report(options, label+" has an empty list of options", "leave options out to allow every value")
	}
	given := map[string]bool{}
	for _, o := range a.options {
		v, wrong, hint := nodeValue(a.Type, o)
		if wrong != "" {
			d.report(o, fmt.Sprintf("an option of %s %s", label, wrong), hint)
			continue
		}
		if given[v.key()] {
			d.report(o, fmt.Sprintf("an option of %s is given twice: %s", label, quote(v.Text)), "")
			continue
		}
		given[v.key()] = true
		a.Options = append(a.Options, v)
	}
	if a.fallback == nil {
		return
	}
	v, wrong, hint := nodeValue(a.Type, a.fallback)
	if wrong != "" {
		d.report(a.fallback, fmt.Sprintf("the default of %s %s", label, wrong), hint)
		return
	}
	if len(a.options) > 0 && len(a.Options) == len(a.options) && !given[v.key()] {
		d.report(a.fallback, fmt.Sprintf("the default of %s, %s, is not among its options", label, quote(v.Text)), "the options are "+optionList(a.Options))
		return
	}
	a.Default = &v
}

func optionList(options []Value) string {
	words := make([]string, len(options))
	for i, o := range options {
		words[i] = quote(o.Text)
	}
	return listing(words)
}

// valueHint helps where a scalar misses its type by its quotes alone.
func valueHint(typ string, n *yaml.Node) string {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	if _, err := parseValue(typ, n.Value); err == nil && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return "leave the quotes out"
	}
	return ""
}

// argsOfTool are a tool's args. A list of plain words is what Kubernetes calls args, the end of a command.
func argsOfTool() shape[[]Arg] {
	s := list("an argument", argShape())
	read := s.read
	s.read = func(d *decoder, n *yaml.Node, label string) ([]Arg, bool) {
		r := resolve(n)
		if r.Kind != yaml.SequenceNode || len(r.Content) == 0 || slices.ContainsFunc(r.Content, func(c *yaml.Node) bool { return resolve(c).Kind != yaml.ScalarNode }) {
			return read(d, n, label)
		}
		words := make([]string, len(r.Content))
		for i, c := range r.Content {
			words[i] = resolve(c).Value
		}
		d.report(n, "args are the inputs that a tool takes, and these are words", "put them after the program: command: [PROGRAM, "+brief(strings.Join(words, ", "))+"]; an input is {name: NAME}")
		return nil, false
	}
	return s
}
