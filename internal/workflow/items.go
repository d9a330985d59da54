package workflow

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file plans a step with for_each: one run for each item.

// perItem reports whether a step's condition refers to its items.
func perItem(s *definition.Step) bool {
	if s.ForEach == nil || s.Condition == nil {
		return false
	}
	for _, r := range s.Condition.References {
		if r.From == definition.FromItem {
			return true
		}
	}
	return false
}

// planItems plans a running step with for_each.
func (n *planning) planItems(i int) {
	s, st := n.Steps[i], &n.states.Steps[i]
	if st.Items == nil {
		return // it is one run, which is in progress
	}
	busy, failed, open := 0, -1, false
	for k := range st.Items {
		switch item := &st.Items[k]; {
		case item.Status == run.Running:
			busy++
		case item.Failed() && failed < 0:
			failed = k
		case item.Status == "":
			open = true
		}
	}
	if !open {
		if busy == 0 {
			n.conclude(i, -1, n.gather(i, st.Items))
		}
		return
	}
	limit := s.MaxParallel
	if limit == 0 {
		limit = len(st.Items)
	}
	for k := range st.Items {
		if st.Items[k].Status != "" {
			continue
		}
		switch {
		case n.states.Ending != "" && i < n.mainSteps():
			n.cancel(i, k)
			continue
		case failed >= 0 && !s.ContinueOnFailure:
			n.skip(i, k, fmt.Sprintf("item %d %s", failed, ended(st.Items[failed].Status)))
			continue
		case busy >= limit || n.room <= 0:
			return
		}
		if perItem(s) {
			value, err := n.ItemValue(n.states, i, k)
			if err != nil {
				n.failure(i, k, "%s", err)
				continue
			}
			if n.decided(i, k, &value) {
				continue
			}
		}
		n.start(i, k)
		busy++
	}
}

// gather returns the end of a step with for_each: the first failure of its items, or success. Each output is a JSON array of
// the items' outputs, with null for an item that was skipped or failed. A failed step has outputs only with
// continue_on_failure.
func (p *Plan) gather(i int, items []StepState) StepState {
	out := StepState{Status: run.Succeeded, Items: items}
	skipped := 0
	for k := range items {
		switch {
		case items[k].Failed() && out.Status == run.Succeeded:
			out.Status, out.ExitCode, out.Code = items[k].Status, items[k].ExitCode, items[k].Code
			out.Reason = fmt.Sprintf("item %d: %s", k, items[k].Reason)
		case items[k].Status == run.Skipped:
			skipped++
		}
	}
	if skipped > 0 && skipped == len(items) {
		return StepState{Status: run.Skipped, Code: run.CodeSkipped, Reason: "all its items were skipped", Items: items}
	}
	if out.Failed() && !p.Steps[i].ContinueOnFailure {
		return out
	}
	out.Outputs = map[string]string{}
	for _, name := range p.Steps[i].Promises() {
		list := make([]any, len(items))
		for k := range items {
			if v, ok := items[k].Outputs[name]; ok && !items[k].Failed() {
				list[k] = v
			}
		}
		text, err := shape.JSON(list)
		if err != nil {
			panic(fmt.Sprintf("encode a list of texts: %v", err)) // a list of strings can always be encoded
		}
		out.Outputs[name] = text
	}
	return out
}
