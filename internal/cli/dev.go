package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/show"
)

// newDevCommand executes mayflyd, and opens a browser.
func newDevCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Write, run and test tools in the browser, over the files of a folder",
		Long: `Write, run and test the tools and workflows of a folder in the browser: what is saved there is written to the files of DIR,
by default this folder. The program mayflyd does it; mayfly dev --help shows its flags.`,
		Example: `  mayfly dev
  mayfly dev tools --port 8080 --no-open`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := program.Find(program.Daemon)
			if err != nil {
				return err
			}
			full := append([]string{"dev"}, args...)
			if !show.IsTerminal(s.out) || slices.ContainsFunc(args, func(a string) bool {
				return slices.Contains([]string{"--no-open", "--no-open=true", "--help", "-h"}, a)
			}) {
				return becomeProgram(c.Context(), s, path, full)
			}
			return openAddress(c.Context(), s, path, full)
		},
	}
}
