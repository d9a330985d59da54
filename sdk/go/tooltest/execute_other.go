//go:build !linux

package tooltest

import "os/exec"

// execute runs mayfly.
func execute(cmd *exec.Cmd) error { return cmd.Run() }
