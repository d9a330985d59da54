package local

import (
	"cmp"
	"errors"
	"slices"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// This file says what to change in a tool that failed or was refused, if the operator's policy allows the change.

// advise sets the hint of a failed attempt from the last lines of the tool's output.
func (r *execution) advise(spec *engine.Spec, lines []string, status int) {
	res := &r.result
	switch {
	case res.Status == run.TimedOut:
		if local := loopbackAdvice(spec, lines); local != "" {
			res.Hint += "; " + local
		}
	case res.Status == run.Failed && res.Hint == "":
		readOnly := false
		res.Hint = cmp.Or(
			advice(spec, lines, status),
			r.allowed(readOnlyAdvice(spec, lines), func(t *tool.Tool) { t.Security.ReadOnly = &readOnly }),
			loopbackAdvice(spec, lines),
		)
	}
}

// remedy returns how to change the tool's file so that it allows what the network refused, given the rule that would allow
// it. It returns "" for further rules after maxDenied.
func (r *execution) remedy(rule string) string {
	if text, known := r.remedies[rule]; known || rule == "" || len(r.remedies) >= maxDenied {
		return text
	}
	text := r.newRemedy(rule)
	if r.remedies == nil {
		r.remedies = map[string]string{}
	}
	r.remedies[rule] = text
	return text
}

func (r *execution) newRemedy(rule string) string {
	parsed, err := tool.Parse("rule", []byte("network: ["+rule+"]"))
	if err != nil {
		return "" // masking has changed the rule
	}
	list := *parsed.Network
	// The first rule of a tool refuses everything that no rule names.
	text := "to allow it, list everything that the tool needs under network.egress, with " + rule
	if own := r.req.Tool.Network; own != nil && own.Mode == network.ModeList {
		list.Egress = slices.Concat(own.Egress, list.Egress)
		text = "to allow it, add to network.egress: " + rule
	}
	return cmp.Or(r.allowed(text, func(t *tool.Tool) { t.Network, t.EgressAt = &list, nil }), "the policy of this host allows no rule for it")
}

// allowed returns the advice, or "" if the operator's policy refuses the tool that follows it.
func (r *execution) allowed(advice string, follow func(*tool.Tool)) string {
	changed := *r.req.Tool
	follow(&changed)
	_, err := r.Policy.Apply(&changed)
	var denied *policy.DeniedError
	if errors.As(err, &denied) {
		return ""
	}
	return advice
}
