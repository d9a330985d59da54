//go:build linux

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction sets a signal's action, in the kernel's format (rt_sigaction(2)). Package signal can't restore the default action
// of a synchronous signal.
func sigaction(sig unix.Signal, action *[4]uint64) error {
	return raw(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), 0, 8)
}
