package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
)

func newDoctorCommand(s streams) *cobra.Command {
	var asJSON bool
	var delegate string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can enforce, and how to fix what it can't",
		Long: `Say what this host can enforce. "missing" fails the runs that need it: nothing is ever silently
weaker than asked. "absent" is an addition that runs do without. Exit status 1 when something is missing.`,
		Example: `  mayfly doctor
  mayfly doctor --json
  # as root, let user 1000 set limits for rootless runs, until the next boot
  mayfly doctor --delegate 1000`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if delegate != "" {
				return delegateCgroups(s, delegate)
			}
			dir, err := home()
			if err != nil {
				return err
			}
			checks, err := probeHost(dir)
			if err != nil {
				return err
			}
			checks = append(checks, checkPolicy()...)
			missing := false
			var text strings.Builder
			for _, c := range checks {
				missing = missing || c.Status == engine.CheckMissing
				if asJSON {
					continue
				}
				fmt.Fprintf(&text, "%-8s %-28s %s\n", c.Status, c.Feature, c.Detail)
				if c.Status != engine.CheckOK && c.Remedy != "" {
					fmt.Fprintf(&text, "%-8s %-28s -> %s\n", "", "", c.Remedy)
				}
			}
			if asJSON {
				err = printList(s.out, checks)
			} else {
				_, err = io.WriteString(s.out, text.String())
			}
			if err != nil {
				return err
			}
			if missing {
				return &exitError{status: run.ExitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&delegate, "delegate", "", "as root: give `USER` cgroups of its own, for the limits of rootless runs")
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

// checkPolicy says what the operator's policy allows, or what is wrong with it.
func checkPolicy() []engine.Check {
	const feature = "operator's policy"
	p, err := loadPolicy()
	switch {
	case err != nil:
		return []engine.Check{{Feature: feature, Status: engine.CheckMissing, Detail: err.Error(), Remedy: "correct that; until then nothing runs"}}
	case p == nil:
		return []engine.Check{{Feature: feature, Status: engine.CheckAbsent, Detail: policy.DefaultPath + " is not there; tools may use any network, image and limit"}}
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

// checkImages says which patterns hold for no image.
func checkImages(c *engine.Check, p *policy.Policy) {
	dead, all := p.DeadImages()
	switch {
	case all:
		c.Status, c.Remedy = engine.CheckMissing, "write patterns such as registry.example.com/tools/*; until then nothing runs"
		c.Detail += "; no image is allowed by that"
	case dead != nil:
		c.Status, c.Remedy = engine.CheckAbsent, "correct or remove them; a pattern is written as registry.example.com/tools/*"
		c.Detail += "; no image has a name as in " + strings.Join(dead, ", ")
	}
}

// checkDefaults says what of the defaults the policy itself refuses. Tools that set it themselves run.
func checkDefaults(c *engine.Check, p *policy.Policy) {
	if denied := p.RefusedDefault(); denied != nil {
		c.Status = engine.CheckAbsent
		c.Detail += fmt.Sprintf("; the policy refuses the default %s: %s", denied.What, denied.Allows)
		c.Remedy = fmt.Sprintf("write %s in each tool, or give the policy defaults that it allows", denied.Missing)
	}
}
