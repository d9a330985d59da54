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
	out := make([]string, len(p.Steps)) // why each is left out; empty for those that run
	switch {
	case sel.Only != "":
		for i, step := range p.Steps {
			if step.Name != sel.Only {
				out[i] = "--only"
			}
		}
	case sel.From != "":
		after := p.after(p.byName[sel.From])
		for i := range p.mainSteps() {
			if !after[i] {
				out[i] = "--from"
			}
		}
	}
	for _, name := range sel.Skip {
		out[p.byName[name]] = "--skip"
	}
	for i, flag := range out {
		switch {
		case flag == "" && (sel.From != "" || sel.Only != ""):
			if s.Steps[i].Status != "" {
				again = append(again, p.Steps[i].Name) // even if it had succeeded, because it was selected
			}
			s.Steps[i] = StepState{}
		case flag != "" && !s.Steps[i].Ended():
			s.Steps[i] = StepState{Status: run.Skipped, Code: run.CodeSkipped, Reason: "left out by " + flag}
		}
	}
	for _, i := range p.order {
		if p.Steps[i].ForEach != nil && s.Steps[i].Status == run.Running && p.itemsDigest(s, i) == "" {
			s.Steps[i] = StepState{} // its list will be computed again
			again = append(again, p.Steps[i].Name)
		}
	}
	return again, p.checkSelection(s, out)
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

func (p *Plan) checkSelection(s *States, out []string) error {
	for i, step := range p.Steps {
		if s.Steps[i].Ended() {
			continue
		}
		var wrong error
		need := func(what, from string) {
			j := p.byName[from]
			// A step that --skip leaves out keeps others from running, like any skipped step. That may be intended.
			if wrong == nil && out[j] != "" && out[j] != "--skip" && s.Steps[j].Status != run.Succeeded {
				wrong = fmt.Errorf("step %s needs %s, and %s leaves step %s out; add --resume RUN, with a run in which that step succeeded", step.Name, what, out[j], from)
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
