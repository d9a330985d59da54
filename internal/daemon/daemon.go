// Package daemon is the mayflyd command, for long-running work and for libraries that would make mayfly start slowly. mayfly executes
// it: mayfly server is mayflyd server. It puts the server and a runner together, which know nothing of each other.
package daemon

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/usage"
)

// Main runs the command with its arguments (without the program's name). It returns the exit status: 0, or that of Mayfly's own failures after it
// has written an error to errOut.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := Command()
	if err := withoutCores(); err != nil {
		fmt.Fprintf(errOut, "%s: %v\n", program.Daemon, err)
		return run.ExitError
	}
	if len(args) > 0 && slices.Contains(ofMayfly, args[0]) {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: program.Mayfly}
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	begun := false
	notice(root, func() { begun = true })
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case begun:
		fmt.Fprintf(errOut, "%s: %v\n", root.DisplayName(), err)
	default: // the command line is wrong
		fmt.Fprintf(errOut, "%s: %v; see '%s --help'\n", root.DisplayName(), err, command.CommandPath())
	}
	return run.ExitError
}

// ofMayfly are the commands that mayfly executes as its own, and that speak of themselves so.
var ofMayfly = []string{"server", "runner", "dev"}

// notice has begun called when a command has a command line that is right, and begins.
func notice(c *cobra.Command, begun func()) {
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			begun()
			return run(c, args)
		}
	}
	for _, sub := range c.Commands() {
		notice(sub, begun)
	}
}

// Command returns the command with its subcommands.
func Command() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           program.Daemon,
		Short:         "Mayfly's services",
		Long:          "The part of Mayfly that runs services. The command mayfly executes it: mayfly server is mayflyd server.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			return usage.EmptyFlag(c.Flags())
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return program.PrintVersion(c.OutOrStdout(), program.Daemon, false)
			}
			return c.Help()
		},
	}
	root.Flags().BoolVarP(&version, "version", "v", false, "version for mayflyd")
	root.AddCommand(serverCommand(), runnerCommand(), devCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  mayflyd version --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return program.PrintVersion(c.OutOrStdout(), program.Daemon, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
