//go:build unix

package cli

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// becomeProgram replaces this process with a program, so that signals and its exit status are its own.
func becomeProgram(_ context.Context, _ streams, path string, args []string) error {
	return fmt.Errorf("execute %s: %w", path, unix.Exec(path, append([]string{path}, args...), os.Environ()))
}
