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

// This file says what to change in a tool that failed or was refused, where the operator's policy allows the change.

// advise gives a failed attempt a hint by the last lines that the tool wrote.
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

// remedy says how the tool's file would allow what the network refused, by the rule that would; "" past as many as a result has.
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
		return "" // a secret was in it
	}
	list := *parsed.Network
	// With a first rule, what no rule names is refused.
	text := "to allow it, list everything that the tool needs under network.egress, with " + rule
	if own := r.req.Tool.Network; own != nil && own.Mode == network.ModeList {
		list.Egress = slices.Concat(own.Egress, list.Egress)
		text = "to allow it, add to network.egress: " + rule
	}
	return cmp.Or(r.allowed(text, func(t *tool.Tool) { t.Network, t.EgressAt = &list, nil }), "the policy of this host allows no rule for it")
}

// allowed is the advice, or "" where the operator's policy refuses the tool that follows it.
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
