package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/remote"
)

func newContextCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "context",
		Short: "Choose where commands go: a server, or this machine",
		Example: `  mayfly context ls
  mayfly context use mayfly.example.com
  mayfly context use local`,
		Args: cobra.NoArgs,
	}
	list := &cobra.Command{
		Use: "ls", Short: "List the servers that you have logged in to", Example: "  mayfly context ls", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := remote.LoadContexts()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "\tNAME\tSERVER\tPROJECT")
			row := func(name, server, project string) {
				mark := ""
				if name == all.Current || name == remote.Local && all.Current == "" {
					mark = "*"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark, cell(name), cell(server), cell(project))
			}
			row(remote.Local, "this machine", "")
			for _, one := range all.Contexts {
				row(one.Name, one.Server, one.Project)
			}
			return table.Flush()
		},
	}
	use := &cobra.Command{
		Use: "use NAME|local", Short: "Have commands go to a server, or to this machine", Example: "  mayfly context use local", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := remote.LoadContexts()
			if err != nil {
				return err
			}
			if _, err := all.Choose(remote.Where{Context: args[0]}); err != nil {
				return err
			}
			if all.Current = args[0]; all.Current == remote.Local {
				all.Current = ""
			}
			return all.Save()
		},
	}
	c.AddCommand(list, use)
	return c
}
