package tool

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// This file holds the tables of workflows, as fields.go does those of tools.

func workflowShape() shape[Workflow] {
	steps := list("a step", stepShape("a step", true))
	finally := list("a step of finally", stepShape("a step of finally", false))
	return objectWithHints("a workflow", []field[Workflow]{
		bind("name", "The workflow's name. Without one, the name of the file is taken.", text(schema{"pattern": namePattern}, checkName),
			func(w *Workflow) *string { return &w.Name }),
		bind("description", "What the workflow does, for people.", text(nil, checkPrintable),
			func(w *Workflow) *string { return &w.Description }),
		bind("inputs", "The typed inputs that the workflow takes, as a tool's args; ${inputs.NAME} is the value of one.", list("an input", argShape()),
			func(w *Workflow) *[]Arg { return &w.Inputs }),
		bind("environment", "Variables for all steps, as a list of KEY=value or a mapping.", stepEnvironmentShape(),
			func(w *Workflow) *[]StepVariable { return &w.Environment }),
		bind("workflow", "Steps that run in order, a failure stopping the chain; with needs in any of them, a graph.", steps,
			func(w *Workflow) *[]Step { return &w.Steps }),
		bind("parallel_tools", "Steps without an order: all run at once, and all results are reported.", steps,
			func(w *Workflow) *[]Step { return &w.Steps }),
		bind("finally", "Steps that run in order when all others have ended, however they ended.", finally,
			func(w *Workflow) *[]Step { return &w.Finally }),
		bind("timeout", "How long all steps together may take, those of finally not counted.", timeoutShape(),
			func(w *Workflow) *time.Duration { return &w.Timeout }),
		bind("max_parallel", "How many steps may run at once.", parallelShape(),
			func(w *Workflow) *int { return &w.MaxParallel }),
		bind("labels", "Labels of the workflow, for people and programs to find it by.", labelsShape(),
			func(w *Workflow) *map[string]string { return &w.Labels }),
	}, hintsForWorkflow, checkWorkflow)
}

func parallelShape() shape[int] {
	return convert(integer(1, 10_000), func(v int64) int { return int(v) })
}

func stepShape(what string, needs bool) shape[Step] {
	fields := []field[Step]{
		needed(bind("name", "The step's name, by which others refer to it.", text(schema{"pattern": namePattern}, checkStepName),
			func(s *Step) *string { return &s.Name })),
		needed(bind("tool", "What runs: a tool's name, a path from the workflow's folder, or a definition.", stepToolShape(),
			func(s *Step) *StepTool { return &s.Uses })),
		bind("inputs", "The tool's inputs; texts may have references such as ${STEP.OUTPUT}.", stepInputsShape(),
			func(s *Step) *[]StepInput { return &s.Inputs }),
		bind("environment", "Variables of this step, as a list of KEY=value or a mapping.", stepEnvironmentShape(),
			func(s *Step) *[]StepVariable { return &s.Environment }),
		bind("outputs", "Names of the values that the step's tool writes to the file $MAYFLY_OUTPUT.", list("an output", text(schema{"pattern": envPattern}, checkOutputName)),
			func(s *Step) *[]string { return &s.Outputs }),
		bind("condition", "When the step runs: a CEL expression over references; success(), failure() and always() tell of the steps before.", conditionShape(),
			func(s *Step) **Condition { return &s.Condition }),
		bind("timeout", "How long each attempt of the step may take, instead of what its tool says.", timeoutShape(),
			func(s *Step) *time.Duration { return &s.Timeout }),
		bind("retry", "How a failed step is repeated, instead of what its tool says.", pointer(retryShape()),
			func(s *Step) **Retry { return &s.Retry }),
		bind("continue_on_failure", "Whether steps after this one run, and the workflow succeeds, although it fails.", boolean(),
			func(s *Step) *bool { return &s.ContinueOnFailure }),
		bind("for_each", "What the step is repeated for: a list, a reference to a JSON array, or {matrix: …}. ${item} is the item.", forEachShape(),
			func(s *Step) **ForEach { return &s.ForEach }),
		bind("max_parallel", "How many items of for_each may run at once.", parallelShape(),
			func(s *Step) *int { return &s.MaxParallel }),
		bind("artifacts", "Folders that this step hands to later ones, or gets from earlier ones.", list("an artifact", artifactShape()),
			func(s *Step) *[]Artifact { return &s.Artifacts }),
		bind("runner", "Labels of the runners that may run the step.", labelListShape(),
			func(s *Step) *[]string { return &s.Runner }),
	}
	if needs {
		fields = append(fields, bind("needs", "Names of the steps that have to end before this one starts.", list("a needed step", text(schema{"pattern": namePattern}, checkName)),
			func(s *Step) *[]string { return &s.Needs }))
	}
	return located(objectWithHints(what, fields, hintsForStep, checkStep), func(s Step, p Position) Step {
		s.Position = p
		return s
	})
}

func checkStepName(s string) (wrong, hint string) {
	if s == FromInputs || s == FromItem {
		return "is what references begin with", "choose another name"
	}
	return checkName(s)
}

func checkOutputName(s string) (wrong, hint string) {
	if s == FieldStatus || s == FieldExitCode {
		return "is what a reference to a step's own " + s + " uses", "choose another name"
	}
	return checkEnvName(s)
}

func stepToolShape() shape[StepTool] {
	name := located(text(schema{"minLength": 1}, func(s string) (string, string) {
		if IsPath(s) {
			return checkPrintable(s)
		}
		return checkName(s)
	}), func(s string, p Position) StepTool { return StepTool{Name: s, Position: p} })
	inline := located(toolShape(), func(t Tool, p Position) StepTool {
		t.Source.Position = p
		return StepTool{Tool: &t, Position: p}
	})
	return byKind("the name of a tool, a path or a definition", &name, nil, &inline)
}

// IsPath reports whether a name of a tool, as people give it, is the path of a file.
func IsPath(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func conditionShape() shape[*Condition] {
	words := loose(func(s string) (string, string) {
		_, wrong, hint := parseCondition(s)
		return wrong, hint
	})
	return shape[*Condition]{schema: words.schema, read: func(d *decoder, n *yaml.Node, label string) (*Condition, bool) {
		text, ok := words.read(d, n, label)
		if !ok {
			return nil, false
		}
		n = resolve(n)
		if d.cut(n) {
			d.report(n, label+` is cut off at " #", which begins a comment`, "put all of it in quotes: '…'")
			return nil, false
		}
		c, _, _ := parseCondition(text) // checked above
		c.Position = d.position(n)
		switch {
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0, strings.Contains(text, "\n"), n.Style&yaml.DoubleQuotedStyle != 0 && strings.ContainsAny(text, "\"\\"), n.Style&yaml.SingleQuotedStyle != 0 && strings.Contains(text, "'"):
			c.Offset = -1
		case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
			c.Offset = 1
		}
		return &c, true
	}}
}

// templateText is text that may have references.
func templateText(d *decoder, n *yaml.Node, label, s string) Template {
	t, wrong, hint := parseTemplate(s)
	if wrong != "" {
		d.report(n, label+" "+wrong, hint)
	}
	return t
}

// templates replaces each text in what decoded JSON has by its template.
func templates(d *decoder, n *yaml.Node, label string, v any) any {
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

func stepInputsShape() shape[[]StepInput] {
	return shape[[]StepInput]{
		schema: schema{"type": "object", "propertyNames": schema{"pattern": namePattern}},
		read: func(d *decoder, n *yaml.Node, label string) ([]StepInput, bool) {
			var out []StepInput
			before := d.Count()
			d.eachPair(n, label, func(key string, at, v *yaml.Node) {
				if !d.accept(at, "input", key, checkName) {
					return
				}
				value, ok := valueShape().read(d, v, "input "+quote(key))
				if ok && value == nil {
					d.report(v, fmt.Sprintf("input %s has no value", quote(key)), `write "" for an empty text`)
				}
				if value == nil {
					return
				}
				out = append(out, StepInput{Name: key, Value: templates(d, v, "input "+quote(key), value), Position: d.position(v)})
			})
			return out, d.Count() == before
		},
	}
}

func stepEnvironmentShape() shape[[]StepVariable] {
	plain := environmentShape()
	return shape[[]StepVariable]{schema: plain.schema, read: func(d *decoder, n *yaml.Node, label string) ([]StepVariable, bool) {
		vars, ok := plain.read(d, n, label)
		out := make([]StepVariable, 0, len(vars))
		seen := map[string]bool{}
		for _, v := range vars {
			at := &yaml.Node{Line: v.Position.Line, Column: v.Position.Column}
			reserved(d, v.Name, func() *yaml.Node { return at })
			if seen[v.Name] {
				d.reportAt(v.Position, fmt.Sprintf("variable %s is given twice", quote(v.Name)), "")
			}
			seen[v.Name] = true
			out = append(out, StepVariable{Name: v.Name, Value: templateText(d, at, "variable "+v.Name, v.Value), Position: v.Position})
		}
		return out, ok
	}}
}

// maxItems bounds what a step is repeated for.
const maxItems = 100_000

func forEachShape() shape[*ForEach] {
	reference := shape[*ForEach]{schema: schema{"type": "string", "pattern": `^\$\{[^}]*\}$`}, read: func(d *decoder, n *yaml.Node, label string) (*ForEach, bool) {
		t := templateText(d, n, label, n.Value)
		ref, ok := t.Sole()
		if !ok {
			d.report(n, label+" must be a list, a reference to one, or {matrix: …}", "")
			return nil, false
		}
		return &ForEach{Reference: &ref}, true
	}}
	items := shape[*ForEach]{schema: schema{"type": "array"}, read: func(d *decoder, n *yaml.Node, label string) (*ForEach, bool) {
		list, ok := itemList(d, n, label)
		return &ForEach{Items: list}, ok
	}}
	matrix := convert(object("for_each", []field[[]MatrixList]{
		needed(bind("matrix", "Lists by name; the step is repeated for each combination, and ${item.NAME} is its part.", matrixShape(),
			func(m *[]MatrixList) *[]MatrixList { return m })),
	}, nil), func(m []MatrixList) *ForEach { return &ForEach{Matrix: m} })
	return located(byKind("a list, a reference to one, or {matrix: …}", &reference, &items, &matrix), func(f *ForEach, p Position) *ForEach {
		if f != nil {
			f.Position = p
		}
		return f
	})
}

func itemList(d *decoder, n *yaml.Node, label string) ([]any, bool) {
	value, ok := valueShape().read(d, n, label)
	if !ok {
		return nil, false
	}
	list, _ := templates(d, n, label, value).([]any)
	return list, true
}

// notLists are keys of GitHub's matrix that add or remove combinations. Read as lists, they would run what the author excludes.
func notLists() []string { return []string{"exclude", "include"} }

func matrixShape() shape[[]MatrixList] {
	return shape[[]MatrixList]{
		schema: schema{
			"type": "object", "minProperties": 1, "additionalProperties": schema{"type": "array", "minItems": 1},
			"propertyNames": schema{"not": schema{"enum": notLists()}},
		},
		read: func(d *decoder, n *yaml.Node, label string) ([]MatrixList, bool) {
			var out []MatrixList
			product, before := 1.0, d.Count()
			d.eachPair(n, label, func(key string, at, v *yaml.Node) {
				v = resolve(v)
				switch {
				case slices.Contains(notLists(), key):
					d.report(at, fmt.Sprintf("a matrix can't %s combinations", key), "write each one as an item: for_each: [{os: linux, arch: amd64}, …]")
				case !d.accept(at, "list", key, checkName):
				case v.Kind != yaml.SequenceNode || len(v.Content) == 0:
					d.report(v, fmt.Sprintf("list %s of the matrix must have items", quote(key)), "write it as [a, b]")
				default:
					items, _ := itemList(d, v, "list "+quote(key))
					out = append(out, MatrixList{Name: key, Items: items})
					product *= math.Max(1, float64(len(items)))
				}
			})
			if product > maxItems {
				d.report(n, fmt.Sprintf("the matrix has more than %d combinations", maxItems), "")
			}
			if len(out) == 0 && d.Count() == before {
				d.report(n, "the matrix has no lists", "write it as {NAME: [a, b]}")
			}
			return out, d.Count() == before
		},
	}
}

func artifactShape() shape[Artifact] {
	return located(object("an artifact", []field[Artifact]{
		needed(bind("name", "The artifact's name.", text(schema{"pattern": filePattern}, checkFileName),
			func(a *Artifact) *string { return &a.Name })),
		bind("from", "Name of the step that made it; without one, this step makes it.", text(schema{"pattern": namePattern}, checkName),
			func(a *Artifact) *string { return &a.From }),
		bind("path", "Absolute path of the folder in the sandbox; /artifacts/NAME where none is given.", text(schema{"pattern": "^/."}, checkMountPath),
			func(a *Artifact) *string { return &a.Path }),
	}, func(_ *decoder, n *yaml.Node, a *Artifact) {
		if !has(n, "path") {
			a.Path = "/artifacts/" + a.Name
		}
	}), func(a Artifact, p Position) Artifact {
		a.Position = p
		return a
	})
}

func labelListShape() shape[[]string] {
	label := text(schema{"minLength": 1}, checkLabelKey)
	one := convert(label, func(s string) []string { return []string{s} })
	many := list("a label", label)
	return byKind("a label or a list of labels", &one, &many, nil)
}
