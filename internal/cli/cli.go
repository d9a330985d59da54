// Package cli is the commands of mayfly: it parses the command line, has package host carry out what was asked for and package
// show print what happens, and turns how it ended into the exit status.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// streams are the command's own standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// output is where views write.
func (s streams) output() show.Output {
	return show.Output{Out: show.StreamOf(s.out), Err: show.StreamOf(s.err)}
}

// Main runs the command with its arguments (without the program's name) and
// returns the exit status.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	s := streams{in: in, out: out, err: errOut}
	root := newRoot(s)
	root.SetArgs(goStyle(args))
	help := &checkedWriter{w: out}
	root.SetOut(help)
	var command *cobra.Command
	err := host.CheckNamespace()
	if err == nil {
		command, err = root.ExecuteContextC(ctx)
	}
	if err == nil && help.err != nil {
		err = fmt.Errorf("print the help: %w", help.err)
	}
	printError(errOut, err)
	if asJSON(command) {
		// If this can't be printed, the exit status still tells.
		_ = printJSONError(out, err)
	}
	return exitStatus(err)
}

// checkedWriter keeps the first error of its writer, for cobra, which drops it when it prints help.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// Command is the command with everything below it, for its documentation.
func Command() *cobra.Command {
	return newRoot(streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
}

func newRoot(s streams) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "mayfly",
		Short: "Serverless tools for operations",
		Long: `Mayfly runs operations tools: a tool is a short YAML file, and each run has
its own isolated container, which lives only as long as the run.`,
		Example: `  mayfly run check.yaml --arg service_url=https://example.com
  mayfly run check.yaml --secret token=env:TOKEN --json
  mayfly test
  mayfly validate tools/*/tool.yaml
  mayfly doctor`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return program.PrintVersion(s.out, program.Mayfly, false)
			}
			return cmd.Help()
		},
	}
	// Cobra's own flag has a text/template print the version, which links every exported method of every type that is used.
	root.Flags().BoolVarP(&version, "version", "v", false, "version for mayfly")
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newInitCommand(s),
		newListCommand(s),
		newRunCommand(s),
		newRunsCommand(s),
		newGraphCommand(s),
		newTestCommand(s),
		newValidateCommand(s),
		newSchemaCommand(s),
		newShellCommand(s),
		newImageCommand(s),
		newSecretCommand(s),
		newDevCommand(s),
		newServerCommand(s),
		newLoginCommand(s),
		newContextCommand(s),
		newToolCommand(s),
		newLogsCommand(s),
		newCancelCommand(s),
		newRerunCommand(s),
		newArtifactsCommand(s),
		newTokenCommand(s),
		newAuditCommand(s),
		newPolicyCommand(s),
		newRunnerCommand(s),
		newDoctorCommand(s),
		newVersionCommand(s),
	)
	completeHelp(root)
	for _, c := range root.Commands() {
		wrapArgs(c)
	}
	return root
}

// exitError is the exit status of a command that has already printed why.
type exitError struct{ status int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// statusFailure is the exit status for Mayfly's own failures, the same as that of docker run and of other programs that run
// programs.
const statusFailure = run.ExitError

// exitStatus is the exit status of a command that ended with an error. That of a run is in its result (package run).
func exitStatus(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.status
	}
	return failure.Of(err).ExitCode
}

// shown returns a text for people in which a name that someone else chose, such as a file's, can't steer the terminal.
func shown(text string) string {
	return textsafe.Replace(text, "\n\t")
}

// cell returns text as a cell of a table: without tabs and ends of lines, which would make a cell or a row that nobody wrote. It hides
// nothing of the rest, since whoever reads an audit log looks for that.
func cell(text string) string {
	return textsafe.Replace(text, "")
}

// printError says why a command failed, unless it has said so itself.
func printError(w io.Writer, err error) {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return
	}
	show.Error(w, err)
}
