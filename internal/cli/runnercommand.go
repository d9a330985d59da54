package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/program"
)

// newRunnerCommand executes mayflyd, except for the commands about a server's runners.
func newRunnerCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "runner --server URL --token-file FILE --data DIR",
		Short: "Carry out runs of a server on this machine; look at a server's runners",
		Long: `Carry out runs of a server on this machine. The program mayflyd does it; mayfly runner --help shows its flags.
The commands ls and drain are about the runners of a server.`,
		Example: `  mayfly runner --server https://mayfly.example.com --token-file runner-token --data /var/lib/mayfly-runner
  mayfly runner ls --server https://mayfly.example.com
  mayfly runner drain build-7`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := program.Find(program.Daemon)
			if err != nil {
				return err
			}
			return becomeProgram(c.Context(), s, path, append([]string{"runner"}, args...))
		},
	}
	c.AddCommand(newRunnerListCommand(s), newRunnerDrainCommand(s))
	return c
}

func newRunnerListCommand(s streams) *cobra.Command {
	var w whereFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "ls", Short: "List the runners of a server", Example: "  mayfly runner ls", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Runners(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSONLine(s.out, all)
			}
			table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "RUNNER\tPOOL\tSTATE\tBUSY\tLABELS\tVERSION\tSEEN")
			for _, one := range all {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d of %d\t%s\t%s\t%s\n", cell(one.Name), cell(one.Pool), one.State, one.Busy, one.Slots,
					cell(strings.Join(one.Labels, ",")), cell(one.Version), ago(one.LastSeen))
			}
			return table.Flush()
		},
	}
	w.add(c.Flags())
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

func newRunnerDrainCommand(s streams) *cobra.Command {
	var w whereFlags
	c := &cobra.Command{
		Use: "drain NAME", Short: "Have a runner take nothing new, and end when it is idle", Example: "  mayfly runner drain build-7", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			if err := r.DrainRunner(c.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s takes no new runs, and ends when it is idle\n", args[0])
			return err
		},
	}
	w.add(c.Flags())
	return c
}
