package host

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/policy"
)

// Checks says what this host can enforce, as a run of this user finds it, and what the operator's policy allows. args are this
// program's: it is executed again in the user namespace of an ordinary user.
func (h *Host) Checks(args []string) ([]engine.Check, error) {
	checks, err := h.probe(args)
	if err != nil {
		return nil, err
	}
	return append(checks, checkPolicy()...), nil
}

// checkPolicy says what the operator's policy allows, or what is wrong with the policy.
func checkPolicy() []engine.Check {
	const feature = "operator's policy"
	p, err := loadPolicy()
	switch {
	case err != nil:
		return []engine.Check{{Feature: feature, Status: engine.CheckMissing, Detail: err.Error(), Remedy: "correct that; until then nothing runs"}}
	case p == nil:
		return []engine.Check{{Feature: feature, Status: engine.CheckAbsent, Detail: policy.DefaultPath + " doesn't exist; tools may use any network, image and limit"}}
	}
	checks := []engine.Check{{Feature: feature, Status: engine.CheckOK, Detail: p.Path()}}
	for _, a := range p.Allows() {
		c := engine.Check{Feature: "policy: " + a.Key, Status: engine.CheckOK, Detail: a.Text}
		switch a.Key {
		case "images":
			checkImages(&c, p)
		case "defaults":
			checkDefaults(&c, p)
		}
		checks = append(checks, c)
	}
	return checks
}

// checkImages says which patterns match no image.
func checkImages(c *engine.Check, p *policy.Policy) {
	dead, all := p.DeadImages()
	switch {
	case all:
		c.Status, c.Remedy = engine.CheckMissing, "write patterns such as registry.example.com/tools/*; until then nothing runs"
		c.Detail += "; it allows no image"
	case dead != nil:
		c.Status, c.Remedy = engine.CheckAbsent, "correct or remove them; write a pattern such as registry.example.com/tools/*"
		c.Detail += "; no image can match " + strings.Join(dead, ", ")
	}
}

// checkDefaults says which of its own defaults the policy refuses. Tools that set the value themselves run.
func checkDefaults(c *engine.Check, p *policy.Policy) {
	if denied := p.RefusedDefault(); denied != nil {
		c.Status = engine.CheckAbsent
		c.Detail += fmt.Sprintf("; the policy refuses the default %s: %s", denied.What, denied.Allows)
		c.Remedy = fmt.Sprintf("write %s in each tool, or give the policy defaults that it allows", denied.Missing)
	}
}
