package workflow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Resume returns the states from which a resumed run continues: steps that succeeded keep their states, and all others start
// from the beginning. Steps of finally belong to the attempt that they ended: if the run had ended, they run again at the end
// of the next attempt.
func (p *Plan) Resume(past *Past) *States {
	s := p.NewStates()
	for _, i := range p.order {
		p.resume(s, i, past.steps[p.Steps[i].Name])
	}
	for i := p.mainSteps(); i < len(p.Steps); i++ {
		old := past.steps[p.Steps[i].Name]
		if old != nil && !old.ended && !p.unfinished(past) {
			p.resume(s, i, old)
		}
	}
	return s
}

// unfinished reports whether steps before finally still have to run. Steps of finally that have run then belong to an attempt
// that is not the last one.
func (p *Plan) unfinished(past *Past) bool {
	for i := range p.mainSteps() {
		if old := past.steps[p.Steps[i].Name]; old == nil || old.Status != run.Succeeded && old.Status != run.Skipped {
			return true
		}
	}
	return false
}

// resume takes the state of one step from the journal; the steps before it must have been resumed already.
func (p *Plan) resume(s *States, i int, old *pastStep) {
	switch {
	case old == nil:
	case old.Status == run.Succeeded && old.Items == nil:
		s.Steps[i] = old.StepState
	case old.Status == run.Succeeded:
		s.Steps[i] = p.gather(i, old.Items)
	case p.Steps[i].ForEach != nil && old.Items != nil && old.items != "" && old.items == p.itemsDigest(s, i):
		st := StepState{Status: run.Running, Items: make([]StepState, len(old.Items))}
		for k := range old.Items {
			if old.Items[k].Status == run.Succeeded {
				st.Items[k] = old.Items[k]
			}
		}
		s.Steps[i] = st
	}
}

// itemsDigest returns a digest that distinguishes lists of a for_each, because items are kept by their index. It is empty if
// the list isn't known yet.
func (p *Plan) itemsDigest(s *States, i int) string {
	count, err := p.ItemCount(s, i)
	if err != nil {
		return ""
	}
	sum := sha256.New()
	for k := range count {
		value, err := p.ItemValue(s, i, k)
		if err != nil {
			return ""
		}
		// A value without quotes also counts as it is written: a shape.Scalar is encoded with its text and its value.
		if err := json.NewEncoder(sum).Encode(value); err != nil {
			panic(fmt.Sprintf("encode an item of step %s: %v", p.Steps[i].Name, err)) // can't happen: the item was decoded from text
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// Selection says which steps of a workflow run. The zero Selection selects all.
type Selection struct {
	// From, Only and Skip are names of steps: run this step and those after it; run only this step; leave these out.
	From, Only string
	Skip       []string
}

// Select changes the states so that only the selected steps run. It is an error if a step then refers to an output or
// artifact that no step will have made. again are the steps that start from the beginning because of the selection.
func (p *Plan) Select(s *States, sel Selection) (again []string, err error) {
	for _, name := range append([]string{sel.From, sel.Only}, sel.Skip...) {
		if _, ok := p.byName[name]; !ok && name != "" {
			return nil, fmt.Errorf("the workflow has no step %q; its steps are %s", name, p.names())
		}
	}
	by := p.leftOut(sel)
	p.skip(s, by)
	if sel.From != "" || sel.Only != "" {
		again = p.beginAnew(s, by)
	}
	again = append(again, p.dropChangedLists(s)...)
	return again, p.checkSelection(s, by)
}

// leftOut says for each step which flag leaves it out: --only, --from or --skip, or nothing if it is to run. --skip is what
// counts when two do.
func (p *Plan) leftOut(sel Selection) []string {
	by := make([]string, len(p.Steps))
	switch {
	case sel.Only != "":
		for i, step := range p.Steps {
			if step.Name != sel.Only {
				by[i] = "--only"
			}
		}
	case sel.From != "":
		after := p.after(p.byName[sel.From])
		for i := range p.mainSteps() { // finally runs after every selection except --only
			if !after[i] {
				by[i] = "--from"
			}
		}
	}
	for _, name := range sel.Skip {
		by[p.byName[name]] = "--skip"
	}
	return by
}

// skip marks the steps that are left out. What has ended stays as it ended: others may use what it handed on.
func (p *Plan) skip(s *States, by []string) {
	for i, flag := range by {
		if flag != "" && !s.Steps[i].Ended() {
			s.Steps[i] = StepState{Status: run.Skipped, Code: run.CodeSkipped, Reason: "left out by " + flag}
		}
	}
}

// beginAnew has the steps that were asked for by name run from their beginning, also those that had succeeded, and returns
// the names of those that had begun.
func (p *Plan) beginAnew(s *States, by []string) (again []string) {
	for i, flag := range by {
		if flag != "" {
			continue
		}
		if s.Steps[i].Status != "" {
			again = append(again, p.Steps[i].Name)
		}
		s.Steps[i] = StepState{}
	}
	return again
}

// dropChangedLists has each for_each begin anew whose list isn't known any longer, since a step that makes it begins anew: the
// items that have succeeded were of another list. It returns their names.
func (p *Plan) dropChangedLists(s *States) (again []string) {
	for _, i := range p.order {
		if p.Steps[i].ForEach != nil && s.Steps[i].Status == run.Running && p.itemsDigest(s, i) == "" {
			s.Steps[i] = StepState{}
			again = append(again, p.Steps[i].Name)
		}
	}
	return again
}

func (p *Plan) names() string {
	names := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// after returns, for each step, whether it is the given one or depends on it.
func (p *Plan) after(i int) []bool {
	after := make([]bool, len(p.Steps))
	after[i] = true
	for _, j := range p.order {
		after[j] = after[j] || slices.ContainsFunc(p.edges[j], func(k int) bool { return after[k] })
	}
	return after
}

// checkSelection refuses a selection in which a step that runs needs what a step hands on that --only or --from leaves out. What
// --skip leaves out keeps others from running, as any skipped step does: that may be what is wanted.
func (p *Plan) checkSelection(s *States, by []string) error {
	for i, step := range p.Steps {
		if s.Steps[i].Ended() {
			continue
		}
		var wrong error
		need := func(what, from string) {
			j := p.byName[from]
			if wrong == nil && by[j] != "" && by[j] != "--skip" && s.Steps[j].Status != run.Succeeded {
				wrong = fmt.Errorf("step %s needs %s, and %s leaves step %s out; add --resume RUN, with a run in which that step succeeded", step.Name, what, by[j], from)
			}
		}
		step.References(func(r definition.Reference, _ shape.Position) {
			if r.IsOutput() {
				need(r.String(), r.Step)
			}
		})
		for _, a := range step.Artifacts {
			if a.From != "" {
				need("the artifact "+a.Name, a.From)
			}
		}
		if wrong != nil {
			return wrong
		}
	}
	return nil
}
