package sandbox

// holder.c makes the holder. Cgo compiles it into every program that imports
// this package.

// #cgo CFLAGS: -Wall -Wextra -Werror
// #include "arguments.h"
// #include "holder.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// The limits of a run that both the holder and the tool's process have.
const (
	runSignals = C.MAYFLY_RUN_SIGNALS
	runLocked  = C.MAYFLY_RUN_LOCKED
)

// The shim's arguments as the C code knows them; TestArguments compares them with package wire.
const (
	supervise         = C.MAYFLY_SUPERVISE
	here              = C.MAYFLY_HERE
	argumentSupervise = C.MAYFLY_ARG_SUPERVISE
	argumentFirstID   = C.MAYFLY_ARG_FIRST_ID
	argumentIDCount   = C.MAYFLY_ARG_ID_COUNT
	argumentPlace     = C.MAYFLY_ARG_PLACE
	argumentCount     = C.MAYFLY_ARGUMENT_COUNT
)

// holder is the process that keeps a sandbox's user, network and pid
// namespaces (see holder.c).
type holder struct {
	process *os.Process
	leash   *os.File // closing it ends the holder too
	reaped  bool
}

// takeHolder takes over the holder that this process made before the Go runtime started, and waits until it is in force.
// It is called once.
func takeHolder() (*holder, error) {
	made := &C.mayfly_holder
	if made.pid <= 0 {
		return nil, namespacesError(C.GoString(made.doing), syscall.Errno(made.error))
	}
	process, _ := os.FindProcess(int(made.pid)) // never fails on Unix
	h := &holder{process: process, leash: os.NewFile(uintptr(made.leash), "leash")}
	ready := os.NewFile(uintptr(made.ready), "ready")
	defer ready.Close()
	err := h.inForce(made, ready)
	if err != nil {
		h.kill()
		h.reap()
		return nil, err
	}
	return h, nil
}

// inForce waits until the holder is in force. The error says why it can't be.
func (h *holder) inForce(made *C.struct_mayfly_holder, ready io.Reader) error {
	if made.error != 0 {
		return namespacesError(C.GoString(made.doing), syscall.Errno(made.error))
	}
	status := make([]byte, C.sizeof_int)
	if _, err := io.ReadFull(ready, status); err != nil {
		return namespacesError("its first process ended immediately", err)
	}
	if errno := binary.NativeEndian.Uint32(status); errno != 0 {
		return namespacesError("protect its first process", syscall.Errno(errno))
	}
	return nil
}

func namespacesError(doing string, err error) error {
	return fmt.Errorf("make the sandbox's namespaces: %s: %w; see what this host can do: mayfly doctor", doing, err)
}

// namespace returns the path of one of the holder's namespaces ("user", "net", "pid").
func (h *holder) namespace(kind string) string {
	return "/proc/" + strconv.Itoa(h.process.Pid) + "/ns/" + kind
}

// sockstat returns the paths of the files that count or list the sockets of the
// holder's network namespace.
func (h *holder) sockstat() []string {
	dir := "/proc/" + strconv.Itoa(h.process.Pid) + "/net/"
	return []string{dir + "sockstat", dir + "sockstat6", dir + "netlink"}
}

// kill ends every process of the sandbox; reap waits until they are gone.
func (h *holder) kill() {
	_ = h.process.Kill() // fails only if it has ended
}

// reap waits for the end of the holder, which ends after every other process of
// its namespace (pid_namespaces(7)). One of these is the container's first
// process. It is a child of this process, so another goroutine must wait for it,
// otherwise it and the holder never end.
func (h *holder) reap() {
	if h.reaped {
		return
	}
	h.reaped = true
	_, _ = h.process.Wait() // "signal: killed" is expected
	_ = h.leash.Close()
}
