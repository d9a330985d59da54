package definition

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// These say where the value of a [Reference] comes from.
const (
	FromStep   = "step"   // an output of an earlier step, or how it ended
	FromInputs = "inputs" // an input of the workflow
	FromItem   = "item"   // the item of a for_each
)

// These fields of a step are not outputs.
const (
	FieldStatus   = "status"
	FieldExitCode = "exit_code"
)

// Reference is one ${…} of a workflow.
type Reference struct {
	// From is FromStep, FromInputs or FromItem.
	From string
	// Step is the step's name, for FromStep.
	Step string
	// Name is the output, FieldStatus or FieldExitCode of a step, the input's name, or the key of an item; it is empty
	// for a whole item.
	Name string
}

// String returns the reference as it is written in a file.
func (r Reference) String() string {
	switch {
	case r.From == FromStep:
		return "${" + r.Step + "." + r.Name + "}"
	case r.Name == "":
		return "${" + r.From + "}"
	}
	return "${" + r.From + "." + r.Name + "}"
}

// IsOutput reports whether the reference is to an output of a step.
func (r Reference) IsOutput() bool {
	return r.From == FromStep && r.Name != FieldStatus && r.Name != FieldExitCode
}

// Template is text with references. Values replace the references after everything has been parsed, so a value can't become a
// reference, a part of a condition, or YAML.
type Template struct {
	Parts []Part
}

// Part is a piece of a template: literal text, or a reference.
type Part struct {
	Text      string
	Reference *Reference
}

// Sole returns the only reference of a template that consists of one reference; its value keeps its type.
func (t Template) Sole() (Reference, bool) {
	if len(t.Parts) == 1 && t.Parts[0].Reference != nil {
		return *t.Parts[0].Reference, true
	}
	return Reference{}, false
}

// parseTemplate parses text with references. "$${" is a literal "${". wrong is what is wrong with the text, such as `has a
// "${" without a "}"`.
func parseTemplate(s string) (t Template, wrong, hint string) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			t.Parts = append(t.Parts, Part{Text: text.String()})
			text.Reset()
		}
	}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			break
		}
		text.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "$${"):
			text.WriteString("${")
			s = s[3:]
		case strings.HasPrefix(s, "${"):
			ref, length, wrong, hint := parseReference(s)
			if wrong != "" {
				return t, wrong, hint
			}
			flush()
			t.Parts = append(t.Parts, Part{Reference: &ref})
			s = s[length:]
		default:
			text.WriteByte('$')
			s = s[1:]
		}
	}
	text.WriteString(s)
	flush()
	return t, "", ""
}

// parseReference parses the reference at the beginning of s.
func parseReference(s string) (ref Reference, length int, wrong, hint string) {
	const advice = `references are ${STEP.OUTPUT}, ${STEP.status}, ${inputs.NAME} and ${item}; write $${ for the text "${"`
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return ref, 0, `has a "${" without a "}"`, advice
	}
	inside := strings.TrimSpace(s[2:end])
	source, name, dotted := strings.Cut(inside, ".")
	unknown := fmt.Sprintf("has the unknown reference %s", shape.Quote(s[:end+1]))
	wrongName, _ := tool.CheckName(source)
	switch {
	case source == FromItem && !dotted:
		return Reference{From: FromItem}, end + 1, "", ""
	case wrongName != "" || !dotted || name == "":
		return ref, 0, unknown, advice
	case source == FromItem, source == FromInputs:
		if wrong, _ := tool.CheckName(name); wrong != "" {
			return ref, 0, unknown, advice
		}
		return Reference{From: source, Name: name}, end + 1, "", ""
	case !tool.ValidEnvName(name):
		return ref, 0, unknown, advice
	}
	return Reference{From: FromStep, Step: source, Name: name}, end + 1, "", ""
}
