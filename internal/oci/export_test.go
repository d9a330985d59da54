//go:build linux

package oci

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// StartWithin sets the time limit for a start, also of a shell.
func (e *Engine) StartWithin(d time.Duration) { e.patience.start = d }

// EndWithin sets the time limit for taking a sandbox down.
func (e *Engine) EndWithin(d time.Duration) { e.patience.end = d }

// KillWithin sets the time limit for the end of a killed process.
func (e *Engine) KillWithin(d time.Duration) { e.patience.kill = d }

// Die does to a sandbox what the death of mayfly does: it closes mayfly's end of the socket without a message.
func Die(s engine.Sandbox) error { return s.(*sandbox).control.Close() }

// Orphan starts the sandbox of spec and returns its shim without waiting for the
// tool. For the shim, closing control is the death of mayfly.
func (e *Engine) Orphan(spec *engine.Spec, local engine.Local, endWithin time.Duration) (shim *exec.Cmd, control *os.File, err error) {
	if err := e.prepareCgroups(); err != nil {
		return nil, nil, err
	}
	dir, err := e.newRunDir(context.Background(), spec.ID)
	if err != nil {
		return nil, nil, err
	}
	lease, err := e.leaseIDs()
	if err != nil {
		return nil, nil, errors.Join(err, dir.remove())
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	control, theirs := os.NewFile(uintptr(pair[0]), "shim"), os.NewFile(uintptr(pair[1]), "control")
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	shim = exec.Command(e.shim, wire.Arguments(lease.first, lease.count, wire.Anywhere)...)
	shim.ExtraFiles = []*os.File{theirs, null, null, null, lease.file, dir.lock}
	shim.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Setsid: true}
	if err := shim.Start(); err != nil {
		return nil, nil, err
	}
	enc := json.NewEncoder(control)
	if err := enc.Encode(wire.NewHello()); err != nil {
		return nil, nil, err
	}
	err = enc.Encode(wire.Request{Start: &wire.Start{
		Spec: spec, Local: local, Dir: dir.path, FirstID: lease.first, IDCount: lease.count, Cgroup: e.cgroupOf(spec.ID), EndWithin: endWithin,
	}})
	return shim, control, errors.Join(err, theirs.Close(), null.Close(), lease.release(), dir.lock.Close())
}
