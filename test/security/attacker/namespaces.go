//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

var namespaceFlags = []struct {
	name string
	flag uintptr
}{
	{"user", unix.CLONE_NEWUSER},
	{"mount", unix.CLONE_NEWNS},
	{"pid", unix.CLONE_NEWPID},
	{"net", unix.CLONE_NEWNET},
	{"ipc", unix.CLONE_NEWIPC},
	{"uts", unix.CLONE_NEWUTS},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"time", unix.CLONE_NEWTIME},
	{"user and mount", unix.CLONE_NEWUSER | unix.CLONE_NEWNS},
}

// namespaces tries every way to make or enter another namespace.
func namespaces([]string) {
	runtime.LockOSThread()
	for _, n := range namespaceFlags {
		report("unshare "+n.name, raw(unix.SYS_UNSHARE, n.flag))
	}
	for _, n := range namespaceFlags {
		if n.flag == unix.CLONE_NEWTIME {
			continue // clone(2) has no such flag: the bit is part of the child's signal
		}
		report("clone "+n.name, fork(unix.SYS_CLONE, n.flag|uintptr(unix.SIGCHLD)))
	}
	for _, n := range namespaceFlags {
		// The first version of struct clone_args (clone(2)).
		args := [8]uint64{0: uint64(n.flag), 4: uint64(unix.SIGCHLD)}
		report("clone3 "+n.name, fork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args)))
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, l := range links {
		fd, err := unix.Open(l, unix.O_RDONLY, 0)
		if err != nil {
			report("setns", err)
			continue
		}
		report("setns", raw(unix.SYS_SETNS, uintptr(fd), 0))
		_ = unix.Close(fd)
	}
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		report("setns", err)
		return
	}
	report("setns", raw(unix.SYS_SETNS, uintptr(pidfd), unix.CLONE_NEWNS|unix.CLONE_NEWPID))
}

// fork makes a child that ends immediately, by the system call nr with its arguments.
func fork(nr, first uintptr, more ...uintptr) error {
	var second uintptr
	if len(more) > 0 {
		second = more[0]
	}
	pid, _, errno := unix.RawSyscall6(nr, first, second, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_ = raw(unix.SYS_EXIT_GROUP, 0)
	}
	if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil {
		return fmt.Errorf("a child, and then %w", err)
	}
	return nil
}
