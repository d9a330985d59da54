//go:build !linux

package cli

import (
	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/host"
)

func newShellCommand(streams) *cobra.Command {
	return &cobra.Command{
		Use:   "shell",
		Short: "Look inside the sandbox of a tool that failed (on Linux)",
		RunE: func(*cobra.Command, []string) error {
			_, err := host.Keeper()
			return err
		},
	}
}
