package tooltest

import (
	"maps"
	"slices"

	"github.com/mayfly-run/mayfly/internal/secret"
)

// mask removes this machine's secrets from what the mocks recorded and from the messages about it. What the tool printed
// has been masked already.
func (s *testRun) mask() {
	mask := s.secrets.redactor(false)
	res := s.result
	for i := range res.Failures {
		f := &res.Failures[i]
		f.Message, f.Diff = mask.String(f.Message), mask.String(f.Diff)
	}
	for i, n := range res.Notes {
		res.Notes[i] = mask.String(n)
	}
	for i := range res.Requests {
		r := &res.Requests[i]
		r.URL, r.Host, r.Path, r.Problem = mask.String(r.URL), mask.String(r.Host), mask.String(r.Path), mask.String(r.Problem)
		r.Query, r.Headers = maskLists(mask, r.Query), maskLists(mask, r.Headers)
		r.Body = mask.String(r.Body)
		r.BodyBase64 = maskBytes(mask, r.BodyBase64)
	}
	for i := range res.Refused {
		res.Refused[i].Host, res.Refused[i].Problem = mask.String(res.Refused[i].Host), mask.String(res.Refused[i].Problem)
	}
	for i := range res.Calls {
		c := &res.Calls[i]
		for j, a := range c.Args {
			c.Args[j] = mask.String(a)
		}
		c.Stdin, c.Problem = mask.String(c.Stdin), mask.String(c.Problem)
		c.StdinBase64 = maskBytes(mask, c.StdinBase64)
	}
	shown := *res.Result // a copy: the result itself belongs to the caller of the runner
	shown.Outputs = mask.Map(shown.Outputs)
	shown.Trusting, shown.MayRunItself = nil, nil // the notes say it
	res.Result = &shown
	for name, step := range res.Steps {
		step.Outputs, step.Reason = mask.Map(step.Outputs), mask.String(step.Reason)
		res.Steps[name] = step
	}
}

func maskLists(mask *secret.Redactor, m map[string][]string) map[string][]string {
	if m == nil {
		return nil
	}
	out := make(map[string][]string, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		masked := mask.String(name)
		for _, v := range m[name] {
			out[masked] = append(out[masked], mask.String(v)) // names of several secrets are equal now
		}
	}
	return out
}

func maskBytes(mask *secret.Redactor, data []byte) []byte {
	if data == nil {
		return nil
	}
	return []byte(mask.String(string(data)))
}
