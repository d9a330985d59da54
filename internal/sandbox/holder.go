package sandbox

// The holder is made by holder.c, which cgo compiles into every program that
// imports this package.

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

// Limits of a run that both the holder and the tool's process have.
const (
	runSignals = C.MAYFLY_RUN_SIGNALS
	runLocked  = C.MAYFLY_RUN_LOCKED
)

// holder is the process that keeps a sandbox's user, network and pid
// namespaces (see holder.c).
type holder struct {
	process *os.Process
	leash   *os.File // closing it ends the holder too
	reaped  bool
}

// takeHolder takes over the holder that this process made before its first line of Go, and waits until it is in force.
// It is called once.
func takeHolder() (*holder, error) {
	made := &C.mayfly_holder
	if made.pid <= 0 {
		return nil, namespacesError(C.GoString(made.doing), syscall.Errno(made.error))
	}
	process, _ := os.FindProcess(int(made.pid)) // it never fails on Unix
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

// inForce waits until the holder is, or can't be.
func (h *holder) inForce(made *C.struct_mayfly_holder, ready io.Reader) error {
	if made.error != 0 {
		return namespacesError(C.GoString(made.doing), syscall.Errno(made.error))
	}
	status := make([]byte, C.sizeof_int)
	if _, err := io.ReadFull(ready, status); err != nil {
		return namespacesError("its first process ended at once", err)
	}
	if errno := binary.NativeEndian.Uint32(status); errno != 0 {
		return namespacesError("protect its first process", syscall.Errno(errno))
	}
	return nil
}

func namespacesError(doing string, err error) error {
	return fmt.Errorf("make the sandbox's namespaces: %s: %w; 'mayfly doctor' tells what this host can do", doing, err)
}

// namespace is the path of one of the holder's namespaces ("user", "net", "pid").
func (h *holder) namespace(kind string) string {
	return "/proc/" + strconv.Itoa(h.process.Pid) + "/ns/" + kind
}

// sockstat are the files that count the sockets of the holder's network
// namespace, or list them.
func (h *holder) sockstat() []string {
	dir := "/proc/" + strconv.Itoa(h.process.Pid) + "/net/"
	return []string{dir + "sockstat", dir + "sockstat6", dir + "netlink"}
}

// kill ends every process of the sandbox; reap waits until they are gone.
func (h *holder) kill() {
	_ = h.process.Kill() // fails only when it is gone already
}

// reap waits for the end of the holder, which comes after that of every other
// process of its namespace: also of the container's, whose parent is this
// process, and which therefore has to be waited for elsewhere, or both wait
// for ever (pid_namespaces(7)).
func (h *holder) reap() {
	if h.reaped {
		return
	}
	h.reaped = true
	_, _ = h.process.Wait() // "signal: killed" is what was wanted
	_ = h.leash.Close()
}
