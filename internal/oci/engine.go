//go:build linux

// Package oci is the embedded engine: it runs each spec under its own
// mayfly-shim, without a daemon or another runtime.
//
// While a run lives it has these on the host, and the engine removes them at the
// end. The files are below one directory (/run/mayfly for root; for an ordinary
// user below XDG_RUNTIME_DIR or MAYFLY_HOME):
//
//	ids               locks on ranges of host ids (see idLease)
//	runs/ID/lock      locked as long as mayfly or the shim lives
//	runs/ID/root      an empty directory; root's shim mounts the sandbox on it in its own mount namespace
//	cgroup mayfly/ID  in each hierarchy
//	cgroup mayfly/ID.shim  the shim's own, in the hierarchy of memory
//
// If the lock of a run is free, both its processes have ended, and [Engine.Sweep]
// removes what is left of it.
package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// cgroupParent is the cgroup of all runs, below each hierarchy's root.
const cgroupParent = "mayfly"

// Engine is the embedded engine.
type Engine struct {
	shim     string   // path of mayfly-shim
	dir      string   // such as /run/mayfly
	others   []string // the directories of this user's other sessions
	former   string   // the directory of earlier versions; "" for root
	rootless *Rootless
	starts   chan struct{} // one element for each start in progress
	relax    sync.Once
	patience patience
}

// startsPerCPU is the number of concurrent starts for each processor. More
// starts only contend for the kernel's locks (mounts, cgroups, network
// namespaces): measured on two processors, 16 concurrent starts are fewer starts
// per second than 4.
const startsPerCPU = 2

// Rootless is the user namespace of an ordinary user's mayfly (see Enter): its
// id 0 is the user, and the ids from 1 on are the user's subordinate ids.
type Rootless struct {
	UID     int    // the user's id on the host
	IDCount int    // the number of subordinate ids; all sandboxes of the user share them
	Cgroup  string // on cgroup v2 the user's own, below the root; "" if there is none
}

// New returns an engine whose supervisor is the program at shim and whose state
// is below dir, such as /run/mayfly. It doesn't access them. rootless is nil for
// root. others are the directories of the user's other sessions.
func New(shim, dir string, rootless *Rootless, others ...string) *Engine {
	e := &Engine{shim: shim, dir: dir, others: others, rootless: rootless, starts: make(chan struct{}, startsPerCPU*runtime.NumCPU()), patience: defaultPatience}
	if rootless != nil {
		e.former = fmt.Sprintf("/tmp/mayfly-%d", rootless.UID)
	}
	return e
}

// cgroupOf returns the cgroup of a run, below each hierarchy's root.
func (e *Engine) cgroupOf(id string) string { return "/" + e.cgroupParent() + "/" + id }

// cgroupParent returns the cgroup of all runs: root's, or one that root or
// systemd has delegated to the user.
func (e *Engine) cgroupParent() string {
	switch {
	case e.rootless == nil:
		return cgroupParent
	case e.rootless.Cgroup != "":
		return strings.TrimPrefix(e.rootless.Cgroup, "/")
	default:
		return cgroupParent + "-" + strconv.Itoa(e.rootless.UID)
	}
}

var (
	_ engine.Engine  = (*Engine)(nil)
	_ engine.Keeper  = (*Engine)(nil)
	_ engine.Prober  = (*Engine)(nil)
	_ engine.Sweeper = (*Engine)(nil)
)

// Start implements [engine.Engine]. It returns at its deadline, and when ctx
// ends, even if a step in this process or in the shim hangs.
func (e *Engine) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	select {
	case e.starts <- struct{}{}:
		defer func() { <-e.starts }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	since := time.Now()
	deadline := process.NewDeadline(e.patience.start, func() { cancel(e.overdue("start", spec.ID, since)) })
	defer deadline.Stop()
	type started struct {
		sandbox *sandbox
		err     error
	}
	done := make(chan started)
	abandoned := make(chan struct{})
	go func() {
		s, err := e.begin(ctx, spec, local, streams)
		select {
		case done <- started{s, err}:
		case <-abandoned:
			if err == nil {
				_ = s.Close() // Start has already returned an error
			}
		}
	}()
	var r started
	select {
	case r = <-done:
	case <-ctx.Done():
		late, stop := process.Late(e.patience.giveUp)
		defer stop()
		select {
		case r = <-done: // begin has cleaned up
		case <-late:
			close(abandoned)
			return nil, context.Cause(ctx)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.sandbox, nil
}

// begin starts a sandbox. After an error it leaves nothing of it.
func (e *Engine) begin(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (*sandbox, error) {
	e.relax.Do(relaxMonitor)
	if err := e.check(spec, &local); err != nil {
		return nil, err
	}
	// Leftovers of other runs that can't be removed don't stop this run; Probe reports them.
	_ = e.Sweep()
	if err := e.prepareCgroups(); err != nil {
		return nil, fmt.Errorf("make the cgroup of all runs: %w", err)
	}
	runDir, err := e.newRunDir(ctx, spec.ID)
	if err != nil {
		return nil, err
	}
	lease, err := e.leaseIDs()
	if err != nil {
		return nil, errors.Join(err, runDir.remove())
	}
	s := &sandbox{engine: e, id: spec.ID, runDir: runDir, cgroup: e.cgroupOf(spec.ID), patience: e.patience.end}
	if s.group, err = e.makeShimGroup(s.cgroup, spec.Resources.Disk); err == nil {
		err = s.start(ctx, e.shim, lease, spec, local, streams)
	}
	if err = errors.Join(err, lease.release()); err != nil { // the shim has its own copy of the lease
		s.patience = e.patience.cleanup
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// place says where the shim starts its sandbox: on the processor that it begins on, if there are as many starts as processors,
// otherwise anywhere. Another runtime always starts anywhere, because its processes would stay on the one processor.
func (s *sandbox) place(spec *engine.Spec) string {
	if len(s.engine.starts) >= runtime.NumCPU() && !spec.Security.OtherRuntime() {
		return wire.Here
	}
	return wire.Anywhere
}

// start runs the shim and waits until the tool runs. What it has made before an
// error, Close undoes.
func (s *sandbox) start(ctx context.Context, shim string, lease *idLease, spec *engine.Spec, local engine.Local, streams engine.Streams) error {
	if err := s.launch(shim, lease, spec, streams); err != nil {
		return err
	}
	go func() {
		defer close(s.moved)
		s.moveErr = s.group.add(s.cmd.Process.Pid)
	}()
	// Abandoning the start is hanging up: the shim ends itself.
	stop := context.AfterFunc(ctx, s.hangUp)
	defer stop()
	if err := s.request(lease, spec, local); err != nil {
		return s.lost(ctx, err)
	}
	if err := s.awaitRunning(ctx); err != nil {
		return err
	}
	if <-s.moved; s.moveErr != nil {
		return s.moveErr
	}
	if !stop() { // it has hung up
		return context.Cause(ctx)
	}
	if err := s.stdio.start(); err != nil {
		return err
	}
	s.events = make(chan engine.Event, 16)
	s.done = make(chan struct{})
	go s.follow()
	return nil
}

// launch starts the shim's process with the descriptors that package wire lists.
func (s *sandbox) launch(shim string, lease *idLease, spec *engine.Spec, streams engine.Streams) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.control = os.NewFile(uintptr(pair[0]), "shim")
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	if s.stdio, err = newStdio(spec.Terminal, streams); err != nil {
		return err
	}
	defer s.stdio.closeTheirs()

	cmd := exec.Command(shim, wire.Arguments(lease.first, lease.count, s.place(spec))...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOGC=off"}
	cmd.Dir = "/"
	cmd.Stderr = &s.shimLog
	inherited := s.stdio.theirs
	cmd.ExtraFiles = []*os.File{theirs, inherited[0], inherited[1], inherited[2], lease.file, s.runDir.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS,
		Setsid:     true, // Ctrl-C is for mayfly, which decides what happens to the tool
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", shim, err)
	}
	s.cmd, s.moved = cmd, make(chan struct{})
	return nil
}

// request sends the shim what to start.
func (s *sandbox) request(lease *idLease, spec *engine.Spec, local engine.Local) error {
	s.enc, s.dec = json.NewEncoder(s.control), json.NewDecoder(s.control)
	if err := s.enc.Encode(wire.NewHello()); err != nil {
		return err
	}
	return s.send(wire.Request{Start: &wire.Start{
		Spec: spec, Local: local,
		Dir: s.runDir.path, FirstID: lease.first, IDCount: lease.count, Cgroup: s.cgroup, Rootless: lease.shared,
		OwnCgroup: s.group.dir, LeaveTo: s.engine.leaveTo(), EndWithin: s.patience,
	}})
}

// awaitRunning reads the shim's reports until the tool runs.
func (s *sandbox) awaitRunning(ctx context.Context) error {
	for {
		var r wire.Report
		if err := s.dec.Decode(&r); err != nil {
			return s.lost(ctx, err)
		}
		switch {
		case r.Failure != nil:
			return r.Failure.Err()
		case r.Event != nil:
			// A tool can use the network before its start is reported.
			s.early = append(s.early, *r.Event)
		case r.Running:
			return nil
		default:
			return s.lost(ctx, errors.New("it reported its exit before its start"))
		}
	}
}
