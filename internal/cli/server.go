package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/program"
)

// errNoServer is the error of a command that needs a server.
var errNoServer = errors.New("no server is chosen; give --server URL or --context NAME, or choose one with: mayfly context use NAME")

// newServerCommand executes mayflyd, which has what a server needs and a run doesn't.
func newServerCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "server --data DIR",
		Short: "Run a server for a team: tools, runs, logs, and runners that carry runs out",
		Long:  "Run a server. The program mayflyd does it; mayfly server --help shows its flags.",
		Example: `  mayfly server --with-runner --data /var/lib/mayfly-server
  mayfly server --help`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := program.Find(program.Daemon)
			if err != nil {
				return err
			}
			return becomeProgram(c.Context(), s, path, append([]string{"server"}, args...))
		},
	}
}
