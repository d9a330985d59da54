//go:build linux

// The shim's cgroup doesn't limit its processors, so the runtime need not look
// for such a limit when it starts.
//go:debug containermaxprocs=0

// Command mayfly-shim supervises one sandbox of the embedded engine. Only mayfly
// starts it, with the arguments and descriptors that package wire describes.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	_ "github.com/opencontainers/cgroups/devices" // without it, starts fail because of device rules
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/sandbox"
)

func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		// This is libcontainer's process in the container. It doesn't return, and it and the tool stay on this thread.
		runtime.LockOSThread()
		debug.SetGCPercent(-1) // the process takes only milliseconds
		for _, confine := range []func() error{sandbox.LimitSelf, sandbox.ScopeSelf, sandbox.FilterSelf} {
			if err := confine(); err != nil {
				fmt.Fprintln(os.Stderr, "mayfly-shim:", err)
				os.Exit(1)
			}
		}
		libcontainer.Init()
	}
	// The sandbox's processes end with the thread that starts them
	// (PR_SET_PDEATHSIG, prctl(2)), so the main thread starts them: it lives as
	// long as the shim.
	runtime.LockOSThread()
}

func main() {
	if answered, err := program.AnswerVersion(os.Stdout, program.Shim, os.Args[1:]); answered {
		if err != nil {
			fmt.Fprintln(os.Stderr, "mayfly-shim:", err)
			os.Exit(1)
		}
		return
	}
	if !wire.Supervises(os.Args) {
		fmt.Fprintln(os.Stderr, "mayfly-shim is started by mayfly; see: mayfly run --help")
		os.Exit(2)
	}
	file := func(fd int, name string) *os.File {
		unix.CloseOnExec(fd)
		return os.NewFile(uintptr(fd), name)
	}
	unix.CloseOnExec(wire.FDLease)
	unix.CloseOnExec(wire.FDLock)
	// libcontainer passes this variable to its own process, which does one thing after the other: more threads would only move
	// the work away from this one.
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil {
		fmt.Fprintln(os.Stderr, "mayfly-shim:", err)
		os.Exit(1)
	}
	err := sandbox.Supervise(file(wire.FDControl, "control"),
		file(wire.FDStdin, "stdin"), file(wire.FDStdout, "stdout"), file(wire.FDStderr, "stderr"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mayfly-shim:", err)
		os.Exit(1)
	}
}
