package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/usage"
)

// usageError is a wrong command line.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v; see '%s --help'", e.err, e.command)
}

// Code implements run.Coder.
func (e *usageError) Code() run.Code { return run.CodeInvalidUsage }

func (e *usageError) Unwrap() error { return e.err }

// wrapArgs turns empty values of flags, and arguments that a command doesn't take, into usage errors that say what it takes.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs // what cobra does for nil, except in the root
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := usage.EmptyFlag(cmd.Flags()); err != nil {
			return &usageError{command: cmd.CommandPath(), err: err}
		}
		switch err := check(cmd, args); {
		case err == nil:
			return nil
		case cmd.HasAvailableSubCommands():
			return unknownCommand(cmd, args[0])
		case cmd.Name() == "run": // its own check says more
			return &usageError{command: cmd.CommandPath(), err: err}
		}
		return &usageError{command: cmd.CommandPath(), err: operandError(cmd, args)}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// operandError says which words a command takes, as its usage line names them. It doesn't repeat several words: one of them may be
// the value of a secret.
func operandError(cmd *cobra.Command, args []string) error {
	_, takes, some := strings.Cut(cmd.Use, " ")
	switch {
	case !some:
		return fmt.Errorf("%s takes no arguments", cmd.CommandPath())
	case len(args) == 0:
		return fmt.Errorf("%s is missing: %s %s", takes, cmd.CommandPath(), takes)
	case len(args) == 1:
		if near := shape.Nearest(args[0], cmd.ValidArgs); near != "" {
			return fmt.Errorf("%s takes %s, not %q; did you mean %s?", cmd.CommandPath(), takes, args[0], near)
		}
		return fmt.Errorf("%s takes %s, not %q", cmd.CommandPath(), takes, args[0])
	}
	err := fmt.Errorf("%s takes %s, not %d arguments", cmd.CommandPath(), takes, len(args))
	if cmd.CommandPath() == "mayfly secret set" {
		err = fmt.Errorf("%w; %s", err, noValue)
	}
	return err
}

// exclusive refuses a command with both of two flags.
func exclusive(c *cobra.Command, a, b string) {
	others := c.PreRunE
	c.PreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
			return &usageError{command: cmd.CommandPath(), err: fmt.Errorf("--%s and --%s can't be given together", a, b)}
		}
		if others != nil {
			return others(cmd, args)
		}
		return nil
	}
}

// completeHelp makes cobra's own commands, help and completion, refuse unknown words, as all others do.
func completeHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Run, c.RunE = nil, func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(found, slices.Concat(rest, args)[0])
				}
				return found.Help()
			}
		case "completion":
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}
