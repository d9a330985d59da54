package cli

import "context"

// openAddress runs a program. The user opens the address that it prints.
func openAddress(ctx context.Context, s streams, path string, args []string) error {
	return becomeProgram(ctx, s, path, args)
}
