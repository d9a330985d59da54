package definition

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"go.yaml.in/yaml/v3"
)

// This file has the tables of the keys of workflows, as fields.go of package tool has those of tools.

func workflowShape() shape.Shape[Workflow] {
	steps := shape.List("a step", stepShape("a step", true))
	finally := shape.List("a step of finally", stepShape("a step of finally", false))
	return shape.ObjectWithHints("a workflow", []shape.Field[Workflow]{
		shape.Bind("name", "The workflow's name; by default the name of the file.", shape.Text(shape.Schema{"pattern": tool.NamePattern}, tool.CheckName),
			func(w *Workflow) *string { return &w.Name }),
		shape.Bind("description", "What the workflow does, for people.", shape.Text(nil, shape.Printable),
			func(w *Workflow) *string { return &w.Description }),
		shape.Bind("inputs", "The typed inputs that the workflow takes, like a tool's args; ${inputs.NAME} is the value of one.", shape.List("an input", tool.ArgShape()),
			func(w *Workflow) *[]tool.Arg { return &w.Inputs }),
		shape.Bind("environment", "Variables for all steps, as a list of KEY=value or a mapping.", stepEnvironmentShape(),
			func(w *Workflow) *[]StepVariable { return &w.Environment }),
		shape.Bind("workflow", "Steps that run in order; a failure stops the chain. With needs in any of them they form a graph.", steps,
			func(w *Workflow) *[]Step { return &w.Steps }),
		shape.Bind("parallel_tools", "Steps without an order: all run at once, and all results are reported.", steps,
			func(w *Workflow) *[]Step { return &w.Steps }),
		shape.Bind("finally", "Steps that run in order when all others have ended, however they ended.", finally,
			func(w *Workflow) *[]Step { return &w.Finally }),
		shape.Bind("timeout", "How long all steps together may take, except those of finally.", tool.TimeoutShape(),
			func(w *Workflow) *time.Duration { return &w.Timeout }),
		shape.Bind("max_parallel", "How many steps may run at once.", parallelShape(),
			func(w *Workflow) *int { return &w.MaxParallel }),
		shape.Bind("labels", "Labels of the workflow, for people and programs to find it by.", tool.LabelsShape(),
			func(w *Workflow) *map[string]string { return &w.Labels }),
	}, hintsForWorkflow, checkWorkflow)
}

// Schema returns the JSON Schema of a workflow's definition; see [tool.Schema].
func Schema() []byte { return workflowShape().Schema.Document("Mayfly workflow") }

func parallelShape() shape.Shape[int] {
	return shape.Convert(shape.Integer(1, 10_000), func(v int64) int { return int(v) })
}

func stepShape(what string, needs bool) shape.Shape[Step] {
	fields := []shape.Field[Step]{
		shape.Required(shape.Bind("name", "The step's name, by which others refer to it.", shape.Text(shape.Schema{"pattern": tool.NamePattern}, checkStepName),
			func(s *Step) *string { return &s.Name })),
		shape.Required(shape.Bind("tool", "What runs: a tool's name, a path from the workflow's folder, or a definition.", stepToolShape(),
			func(s *Step) *StepTool { return &s.Uses })),
		shape.Bind("inputs", "The tool's inputs; texts may have references such as ${STEP.OUTPUT}.", stepInputsShape(),
			func(s *Step) *[]StepInput { return &s.Inputs }),
		shape.Bind("environment", "Variables of this step, as a list of KEY=value or a mapping.", stepEnvironmentShape(),
			func(s *Step) *[]StepVariable { return &s.Environment }),
		shape.Bind("outputs", "Names of the values that the step's tool writes to the file $MAYFLY_OUTPUT.", shape.List("an output", shape.Text(shape.Schema{"pattern": tool.EnvPattern}, checkOutputName)),
			func(s *Step) *[]string { return &s.Outputs }),
		shape.Bind("condition", "When the step runs: a CEL expression over references; success(), failure() and always() are about the steps before it.", conditionShape(),
			func(s *Step) **Condition { return &s.Condition }),
		shape.Bind("timeout", "How long each attempt of the step may take, instead of what its tool says.", tool.TimeoutShape(),
			func(s *Step) *time.Duration { return &s.Timeout }),
		shape.Bind("retry", "How a failed step is repeated, instead of what its tool says.", shape.Pointer(tool.RetryShape()),
			func(s *Step) **tool.Retry { return &s.Retry }),
		shape.Bind("continue_on_failure", "Whether later steps run, and the workflow can succeed, even if this step fails.", shape.Boolean(),
			func(s *Step) *bool { return &s.ContinueOnFailure }),
		shape.Bind("for_each", "The items that the step is repeated for: a list, a reference to a JSON array, or {matrix: …}. ${item} is the item.", forEachShape(),
			func(s *Step) **ForEach { return &s.ForEach }),
		shape.Bind("max_parallel", "How many items of for_each may run at once.", parallelShape(),
			func(s *Step) *int { return &s.MaxParallel }),
		shape.Bind("artifacts", "Folders that this step passes to later steps, or gets from earlier ones.", shape.List("an artifact", artifactShape()),
			func(s *Step) *[]Artifact { return &s.Artifacts }),
		shape.Bind("runner", "Labels of the runners that may run the step.", labelListShape(),
			func(s *Step) *[]string { return &s.Runner }),
	}
	if needs {
		fields = append(fields, shape.Bind("needs", "Names of the steps that must end before this one starts.", shape.List("a needed step", shape.Text(shape.Schema{"pattern": tool.NamePattern}, tool.CheckName)),
			func(s *Step) *[]string { return &s.Needs }))
	}
	return shape.Located(shape.ObjectWithHints(what, fields, hintsForStep, checkStep), func(s Step, p shape.Position) Step {
		s.Position = p
		return s
	})
}

func checkStepName(s string) (wrong, hint string) {
	if s == FromInputs || s == FromItem {
		return "is a reserved word of references", "choose another name"
	}
	return tool.CheckName(s)
}

func checkOutputName(s string) (wrong, hint string) {
	if s == FieldStatus || s == FieldExitCode {
		return "is reserved for a reference to a step's own " + s, "choose another name"
	}
	return tool.CheckEnvName(s)
}

func stepToolShape() shape.Shape[StepTool] {
	name := shape.Located(shape.Text(shape.Schema{"minLength": 1}, func(s string) (string, string) {
		if IsPath(s) {
			return shape.Printable(s)
		}
		return tool.CheckName(s)
	}), func(s string, p shape.Position) StepTool { return StepTool{Name: s, Position: p} })
	inline := shape.Located(tool.Shape(), func(t tool.Tool, p shape.Position) StepTool {
		t.Source.Position = p
		return StepTool{Tool: &t, Position: p}
	})
	return shape.ByKind("the name of a tool, a path or a definition", &name, nil, &inline)
}

func conditionShape() shape.Shape[*Condition] {
	words := shape.Loose(func(s string) (string, string) {
		_, wrong, hint := parseCondition(s)
		return wrong, hint
	})
	return shape.Shape[*Condition]{Schema: words.Schema, Read: func(d *shape.Decoder, n *yaml.Node, label string) (*Condition, bool) {
		text, ok := words.Read(d, n, label)
		if !ok {
			return nil, false
		}
		n = shape.Resolve(n)
		if d.CutOff(n) {
			d.Report(n, label+` is cut off at " #", which begins a comment`, "put all of it in quotes: '…'")
			return nil, false
		}
		c, _, _ := parseCondition(text) // checked above
		c.Position = d.Position(n)
		switch {
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0, strings.Contains(text, "\n"), n.Style&yaml.DoubleQuotedStyle != 0 && strings.ContainsAny(text, "\"\\"), n.Style&yaml.SingleQuotedStyle != 0 && strings.Contains(text, "'"):
			c.Offset = -1
		case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
			c.Offset = 1
		}
		return &c, true
	}}
}

// templateText parses a text that may contain references, and reports what is wrong with it.
func templateText(d *shape.Decoder, n *yaml.Node, label, s string) Template {
	t, wrong, hint := parseTemplate(s)
	if wrong != "" {
		d.Report(n, label+" "+wrong, hint)
	}
	return t
}

// templates replaces each text in a decoded JSON value by its template.
func templates(d *shape.Decoder, n *yaml.Node, label string, v any) any {
	switch v := v.(type) {
	case string:
		return templateText(d, n, label, v)
	case []any:
		for i := range v {
			v[i] = templates(d, n, label, v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = templates(d, n, label, v[k])
		}
	}
	return v
}

func stepInputsShape() shape.Shape[[]StepInput] {
	return shape.Shape[[]StepInput]{
		Schema: shape.Schema{"type": "object", "propertyNames": shape.Schema{"pattern": tool.NamePattern}},
		Read: func(d *shape.Decoder, n *yaml.Node, label string) ([]StepInput, bool) {
			var out []StepInput
			before := d.Count()
			d.EachPair(n, label, func(key string, at, v *yaml.Node) {
				if !d.Accept(at, "input", key, tool.CheckName) {
					return
				}
				value, ok := shape.Any().Read(d, v, "input "+shape.Quote(key))
				if ok && value == nil {
					d.Report(v, fmt.Sprintf("input %s has no value", shape.Quote(key)), `write "" for an empty text`)
				}
				if value == nil {
					return
				}
				out = append(out, StepInput{Name: key, Value: templates(d, v, "input "+shape.Quote(key), value), Position: d.Position(v)})
			})
			return out, d.Count() == before
		},
	}
}

func stepEnvironmentShape() shape.Shape[[]StepVariable] {
	plain := tool.EnvironmentShape()
	return shape.Shape[[]StepVariable]{Schema: plain.Schema, Read: func(d *shape.Decoder, n *yaml.Node, label string) ([]StepVariable, bool) {
		vars, ok := plain.Read(d, n, label)
		out := make([]StepVariable, 0, len(vars))
		seen := map[string]bool{}
		for _, v := range vars {
			at := &yaml.Node{Line: v.Position.Line, Column: v.Position.Column}
			tool.CheckReserved(d, v.Name, func() *yaml.Node { return at })
			if seen[v.Name] {
				d.ReportAt(v.Position, fmt.Sprintf("variable %s is given twice", shape.Quote(v.Name)), "")
			}
			seen[v.Name] = true
			out = append(out, StepVariable{Name: v.Name, Value: templateText(d, at, "variable "+v.Name, v.Value), Position: v.Position})
		}
		return out, ok
	}}
}

// maxItems is the largest number of items that a step can be repeated for.
const maxItems = 100_000

func forEachShape() shape.Shape[*ForEach] {
	reference := shape.Shape[*ForEach]{Schema: shape.Schema{"type": "string", "pattern": `^\$\{[^}]*\}$`}, Read: func(d *shape.Decoder, n *yaml.Node, label string) (*ForEach, bool) {
		t := templateText(d, n, label, n.Value)
		ref, ok := t.Sole()
		if !ok {
			d.Report(n, label+" must be a list, a reference to one, or {matrix: …}", "")
			return nil, false
		}
		return &ForEach{Reference: &ref}, true
	}}
	items := shape.Shape[*ForEach]{Schema: shape.Schema{"type": "array"}, Read: func(d *shape.Decoder, n *yaml.Node, label string) (*ForEach, bool) {
		list, ok := itemList(d, n, label)
		if len(list) > maxItems {
			d.Report(n, fmt.Sprintf("%s has more than %d items", label, maxItems), "")
			return nil, false
		}
		return &ForEach{Items: list}, ok
	}}
	matrix := shape.Convert(shape.Object("for_each", []shape.Field[[]MatrixList]{
		shape.Required(shape.Bind("matrix", "Lists by name; the step is repeated for each combination, and ${item.NAME} is its part.", matrixShape(),
			func(m *[]MatrixList) *[]MatrixList { return m })),
	}, nil), func(m []MatrixList) *ForEach { return &ForEach{Matrix: m} })
	return shape.Located(shape.ByKind("a list, a reference to one, or {matrix: …}", &reference, &items, &matrix), func(f *ForEach, p shape.Position) *ForEach {
		if f != nil {
			f.Position = p
		}
		return f
	})
}

func itemList(d *shape.Decoder, n *yaml.Node, label string) ([]any, bool) {
	value, ok := shape.Any().Read(d, n, label)
	if !ok {
		return nil, false
	}
	list, _ := templates(d, n, label, value).([]any)
	return list, true
}

// notLists returns keys of GitHub's matrix that add or remove combinations. If they were read as lists, the step would run
// combinations that the author excludes.
func notLists() []string { return []string{"exclude", "include"} }

func matrixShape() shape.Shape[[]MatrixList] {
	return shape.Shape[[]MatrixList]{
		Schema: shape.Schema{
			"type": "object", "minProperties": 1, "additionalProperties": shape.Schema{"type": "array", "minItems": 1},
			"propertyNames": shape.Schema{"not": shape.Schema{"enum": notLists()}},
		},
		Read: func(d *shape.Decoder, n *yaml.Node, label string) ([]MatrixList, bool) {
			var out []MatrixList
			product, before := 1.0, d.Count()
			d.EachPair(n, label, func(key string, at, v *yaml.Node) {
				v = shape.Resolve(v)
				switch {
				case slices.Contains(notLists(), key):
					d.Report(at, fmt.Sprintf("a matrix can't %s combinations", key), "write each one as an item: for_each: [{os: linux, arch: amd64}, …]")
				case !d.Accept(at, "list", key, tool.CheckName):
				case v.Kind != yaml.SequenceNode || len(v.Content) == 0:
					d.Report(v, fmt.Sprintf("list %s of the matrix must have items", shape.Quote(key)), "write it as [a, b]")
				default:
					items, _ := itemList(d, v, "list "+shape.Quote(key))
					out = append(out, MatrixList{Name: key, Items: items})
					product *= math.Max(1, float64(len(items)))
				}
			})
			if product > maxItems {
				d.Report(n, fmt.Sprintf("the matrix has more than %d combinations", maxItems), "")
			}
			if len(out) == 0 && d.Count() == before {
				d.Report(n, "the matrix has no lists", "write it as {NAME: [a, b]}")
			}
			return out, d.Count() == before
		},
	}
}

func artifactShape() shape.Shape[Artifact] {
	return shape.Located(shape.Object("an artifact", []shape.Field[Artifact]{
		shape.Required(shape.Bind("name", "The artifact's name.", shape.Text(shape.Schema{"pattern": tool.FilePattern}, tool.CheckFileName),
			func(a *Artifact) *string { return &a.Name })),
		shape.Bind("from", "Name of the step that makes it; by default this step.", shape.Text(shape.Schema{"pattern": tool.NamePattern}, tool.CheckName),
			func(a *Artifact) *string { return &a.From }),
		shape.Bind("path", "Absolute path of the folder in the sandbox; by default /artifacts/NAME.", shape.Text(shape.Schema{"pattern": "^/."}, tool.CheckMountPath),
			func(a *Artifact) *string { return &a.Path }),
	}, func(_ *shape.Decoder, n *yaml.Node, a *Artifact) {
		if !shape.Has(n, "path") {
			a.Path = "/artifacts/" + a.Name
		}
	}), func(a Artifact, p shape.Position) Artifact {
		a.Position = p
		return a
	})
}

func labelListShape() shape.Shape[[]string] {
	label := shape.Text(shape.Schema{"minLength": 1}, tool.CheckLabelKey)
	one := shape.Convert(label, func(s string) []string { return []string{s} })
	many := shape.List("a label", label)
	return shape.ByKind("a label or a list of labels", &one, &many, nil)
}
