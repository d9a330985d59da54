package local

import (
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/trust"
)

// trusting returns the secrets in which a test's authority was added to their certificates, as the sandbox has them.
func (r *execution) trusting(values engine.Secrets) [][]byte {
	if r.req.Mocks == nil {
		return nil
	}
	a := trust.New(r.req.Mocks.Authority)
	if a == nil {
		return nil
	}
	var out [][]byte
	for _, value := range values {
		if changed, ok := a.AddToText(value); ok {
			out = append(out, changed)
		}
	}
	return out
}
