package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/run"
)

func newDoctorCommand(s streams) *cobra.Command {
	var asJSON bool
	var delegate string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can enforce, and how to fix what it can't",
		Long: `Say what this host can enforce. "missing" fails the runs that need it: a run never silently
gets less than it asks for. "absent" is an extra that runs can do without. The exit status is 1 if
something is missing.`,
		Example: `  mayfly doctor
  mayfly doctor --json
  # as root, let user 1000 set limits for rootless runs, until the next boot
  mayfly doctor --delegate 1000`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if delegate != "" {
				return delegateCgroups(s, delegate)
			}
			h, err := host.Open()
			if err != nil {
				return err
			}
			checks, err := h.Checks(os.Args)
			if err != nil {
				return err
			}
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
	c.Flags().StringVar(&delegate, "delegate", "", "as root: give `USER` its own cgroups, for the limits of rootless runs")
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}
