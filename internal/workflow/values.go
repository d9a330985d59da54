package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// value returns the value of a reference. item is nil outside a for_each.
func (p *Plan) value(s *States, r definition.Reference, item *any) (any, error) {
	switch r.From {
	case definition.FromInputs:
		return p.inputs[r.Name], nil
	case definition.FromItem:
		if item == nil {
			return nil, fmt.Errorf("%s has no value here", r)
		}
		if r.Name == "" {
			return *item, nil
		}
		object, ok := (*item).(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: the item is not an object", r)
		}
		v, ok := object[r.Name]
		if !ok {
			return nil, fmt.Errorf("%s: the item has no such key", r)
		}
		return v, nil
	}
	st := p.State(s, r.Step)
	switch r.Name {
	case definition.FieldStatus:
		return string(st.Status), nil
	case definition.FieldExitCode:
		return json.Number(fmt.Sprint(st.ExitCode)), nil
	}
	v, ok := st.Outputs[r.Name]
	if !ok {
		return nil, fmt.Errorf("%s has no value", r)
	}
	return v, nil
}

// judge evaluates a step's condition.
func (n *planning) judge(i int, item *any) (bool, *condition.Problem) {
	s := n.Steps[i]
	v := condition.Values{Variables: map[string]any{}}
	v.Success, v.Failure = n.outlook(i)
	for k, r := range s.Condition.References {
		value, err := n.value(n.states, r, item)
		if err == nil {
			value, err = shape.Decoded(value)
		}
		if err != nil {
			return false, &condition.Problem{Text: err.Error()}
		}
		v.Variables[definition.Variable(k)] = value
	}
	return n.evaluate(s, v)
}

// Expression returns a step's condition in the form that an evaluator takes.
func (p *Plan) Expression(s *definition.Step) condition.Expression {
	e := condition.Expression{Text: s.Condition.Expression, Variables: map[string]condition.Type{}}
	for i, r := range s.Condition.References {
		e.Variables[definition.Variable(i)] = p.typeOf(r)
	}
	return e
}

func (p *Plan) typeOf(r definition.Reference) condition.Type {
	switch r.From {
	case definition.FromItem:
		return condition.Any
	case definition.FromInputs:
		for _, a := range p.Workflow.Inputs {
			if a.Name == r.Name {
				return inputType(a.Type)
			}
		}
		return condition.Any
	}
	if r.Name == definition.FieldExitCode {
		return condition.Int
	}
	return condition.String
}

func inputType(t string) condition.Type {
	switch t {
	case shape.TypeString:
		return condition.String
	case shape.TypeInteger:
		return condition.Int
	case shape.TypeNumber:
		return condition.Double
	case shape.TypeBoolean:
		return condition.Bool
	}
	return condition.Any
}

// ItemCount returns the number of items of a step with for_each.
func (p *Plan) ItemCount(s *States, i int) (int, error) {
	fe := p.Steps[i].ForEach
	switch {
	case fe.Reference != nil:
		list, err := p.listed(s, i)
		return len(list), err
	case fe.Matrix != nil:
		count := 1
		for _, l := range fe.Matrix {
			count *= len(l.Items)
		}
		return count, nil
	}
	return len(fe.Items), nil
}

// ItemValue returns an item of a step with for_each, as decoded JSON has it.
func (p *Plan) ItemValue(s *States, i, item int) (any, error) {
	fe := p.Steps[i].ForEach
	if fe.Reference != nil {
		list, err := p.listed(s, i)
		if err != nil {
			return nil, err
		}
		if item >= len(list) {
			return nil, fmt.Errorf("%s has %d items and no item %d", fe.Reference, len(list), item)
		}
		return list[item], nil
	}
	return writtenItem(fe, item, func(r definition.Reference) (any, error) { return p.value(s, r, nil) })
}

// writtenItem returns an item of a list or matrix that is written in the file.
func writtenItem(fe *definition.ForEach, item int, value func(definition.Reference) (any, error)) (any, error) {
	if fe.Matrix == nil {
		return definition.Substitute(fe.Items[item], value)
	}
	out := map[string]any{}
	for k := len(fe.Matrix) - 1; k >= 0; k-- {
		l := fe.Matrix[k]
		v, err := definition.Substitute(l.Items[item%len(l.Items)], value)
		if err != nil {
			return nil, err
		}
		out[l.Name] = v
		item /= len(l.Items)
	}
	return out, nil
}

// maxReferencedItems is the largest number of items in a list that a tool wrote.
const maxReferencedItems = 100_000

// listed returns the list that the reference of a step's for_each stands for. It decodes the list once, since the value
// doesn't change after the step may start.
func (p *Plan) listed(s *States, i int) ([]any, error) {
	st := &s.Steps[i]
	if st.list != nil {
		return st.list, nil
	}
	v, err := p.value(s, *p.Steps[i].ForEach.Reference, nil)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any) // an input of the workflow is already a list
	if !ok {
		text, _ := v.(string)
		if list, err = decodeItems(text, *p.Steps[i].ForEach.Reference); err != nil {
			return nil, err
		}
	}
	st.list = list
	return list, nil
}

func decodeItems(text string, r definition.Reference) ([]any, error) {
	var list []any
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	if err := dec.Decode(&list); err != nil || list == nil && text != "[]" {
		return nil, fmt.Errorf("for_each: %s is not a JSON array; have step %s write one such as [\"a\", \"b\"]", r, r.Step)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("for_each: %s is more than one JSON array", r)
	}
	if err := shape.CheckDepth(list); err != nil {
		return nil, fmt.Errorf("for_each: %s: %w", r, err)
	}
	if len(list) > maxReferencedItems {
		return nil, fmt.Errorf("for_each: %s has more than %d items", r, maxReferencedItems)
	}
	return list, nil
}

// Bound has the inputs and variables of a step or item, with its references replaced by values.
type Bound struct {
	Inputs map[string]any
	// Shared are the workflow's variables, and Environment the step's own.
	Shared, Environment []tool.EnvVar
}

// Bind replaces the references of a step that may start by values. item is the index of an item, or -1 for a step without for_each.
func (p *Plan) Bind(s *States, i, item int) (*Bound, error) {
	step := p.Steps[i]
	var value *any
	if item >= 0 {
		v, err := p.ItemValue(s, i, item)
		if err != nil {
			return nil, err
		}
		value = &v
	}
	lookup := func(r definition.Reference) (any, error) { return p.value(s, r, value) }
	b, err := p.bind(step, lookup)
	if err == nil {
		return b, nil
	}
	if null := nullItem(step, lookup); null != nil {
		err = fmt.Errorf(`%w; to leave out such items, write condition: "%s != null"`, err, null)
	}
	return nil, err
}

func (p *Plan) bind(step *definition.Step, lookup func(definition.Reference) (any, error)) (*Bound, error) {
	b := &Bound{Inputs: make(map[string]any, len(step.Inputs))}
	for _, in := range step.Inputs {
		v, err := definition.Substitute(in.Value, lookup)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Name, err)
		}
		if v == nil { // the run checks all other inputs, since it masks its errors; an error about null has nothing to mask
			if err := step.Uses.Tool.CheckInput(in.Name, nil); err != nil {
				return nil, err
			}
		}
		b.Inputs[in.Name] = v
	}
	var err error
	if b.Shared, err = variables(p.Workflow.Environment, lookup); err != nil {
		return nil, err
	}
	if b.Environment, err = variables(step.Environment, lookup); err != nil {
		return nil, err
	}
	return b, nil
}

// nullItem returns a reference of the step to an item, or to a part of one, that is null, which is the output of a failed
// item of an earlier for_each.
func nullItem(step *definition.Step, lookup func(definition.Reference) (any, error)) *definition.Reference {
	var null *definition.Reference
	step.References(func(r definition.Reference, _ shape.Position) {
		if r.From != definition.FromItem || null != nil {
			return
		}
		if v, err := lookup(r); err == nil && v == nil {
			null = &r
		}
	})
	return null
}

func variables(list []definition.StepVariable, lookup func(definition.Reference) (any, error)) ([]tool.EnvVar, error) {
	var out []tool.EnvVar
	for _, v := range list {
		text, err := v.Value.Text(lookup)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		out = append(out, tool.EnvVar{Name: v.Name, Value: text, Position: v.Position})
	}
	return out, nil
}

// Outcome returns how a workflow ended; no other fields of the result are set.
func (p *Plan) Outcome(s *States) *run.Result {
	switch s.Ending {
	case run.Cancelled:
		return &run.Result{Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: s.Code, Reason: s.Reason}
	case run.TimedOut:
		return &run.Result{Status: run.TimedOut, ExitCode: run.ExitTimedOut, Code: s.Code, Reason: s.Reason}
	case run.Error:
		return &run.Result{Status: run.Error, ExitCode: run.ExitError, Code: s.Code, Reason: s.Reason}
	}
	for i := range s.Steps {
		st := &s.Steps[i]
		if !st.Failed() || p.Steps[i].ContinueOnFailure {
			continue
		}
		reason := fmt.Sprintf("step %s %s", p.Steps[i].Name, ended(st.Status))
		if st.Reason != "" {
			reason += ": " + st.Reason
		}
		status := run.Failed
		switch st.Status {
		case run.Error, run.Denied, run.Lost, run.Cancelled: // cancelled is a step of finally that was killed
			status = st.Status
		}
		return &run.Result{Status: status, ExitCode: max(run.ExitFailed, st.ExitCode), Code: st.Code, Reason: reason}
	}
	return &run.Result{Status: run.Succeeded}
}
