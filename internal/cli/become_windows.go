package cli

import (
	"context"
	"errors"
	"os/exec"
)

// becomeProgram runs a program in this one's place.
func becomeProgram(ctx context.Context, s streams, path string, args []string) error {
	c := exec.CommandContext(ctx, path, args...)
	c.Stdin, c.Stdout, c.Stderr = s.in, s.out, s.err
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &exitError{status: exit.ExitCode()}
	}
	return err
}
