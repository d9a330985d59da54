//go:build linux

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction sets a signal's action as the kernel takes it (rt_sigaction(2));
// package signal can't give a synchronous signal its default one back.
func sigaction(sig unix.Signal, action *[4]uint64) error {
	return raw(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), 0, 8)
}
