// Package sandbox is the inside of mayfly-shim: it makes one sandbox from a spec,
// watches it, and takes it down.
//
// It makes these parts in order, and undoes them in reverse:
//
//	holder      user, network and pid namespace, and the process that keeps them (holder.c)
//	network     a TUN device in the namespace, and a userspace TCP/IP stack at its other end
//	rootfs      id-mapped layers, overlay, volumes, secrets, in this process's mount namespace
//	cgroup      limits and counters
//	container   libcontainer: seccomp, no capabilities, no_new_privs, then the tool
//
// Only cmd/mayfly-shim imports it.
package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/sandbox/usernet"
)

// metricInterval is how often a live sandbox reports its usage.
const metricInterval = time.Second

// socketInterval is how often its sockets are counted.
const socketInterval = 200 * time.Millisecond

// settleTime is how long a tool runs until the start of its sandbox has ended. A shorter run is taken down on the processor where it
// started.
const settleTime = 50 * time.Millisecond

// maxStartBytes is the limit of the first message: a spec and its secret values.
const maxStartBytes = 128 << 20

// Supervise runs one sandbox for the process at the other end of control, and
// returns when nothing of the sandbox is left. The calling goroutine must be
// locked to the process's main thread.
func Supervise(control *os.File, stdin, stdout, stderr *os.File) error {
	r := &reporter{enc: json.NewEncoder(control)}
	dec := json.NewDecoder(io.LimitReader(control, maxStartBytes))
	if ok, err := greet(r, dec); err != nil || !ok {
		return err
	}
	var first wire.Request
	if err := dec.Decode(&first); err != nil {
		return fmt.Errorf("read the start request: %w", err)
	}
	if first.Start == nil || first.Start.Spec == nil {
		return errors.New("the first request must be start")
	}
	s := &supervisor{
		start: first.Start, report: r,
		// Buffered, so that readRequests notices mayfly's end while no goroutine receives requests yet.
		requests: make(chan wire.Request, 16),
	}
	go s.readRequests(io.MultiReader(dec.Buffered(), control))
	exit, err := s.run(stdin, stdout, stderr)
	if exit != nil && exit.Kept {
		s.keepGoing()
		_ = s.holder.runAnywhere() // in case the tool ended before watch did it; only speed depends on it
		return errors.Join(s.keep(exit), abandon(s.start))
	}
	err = errors.Join(err, s.clean())
	s.pauseEnd()
	report := wire.Report{Exit: exit}
	if err != nil {
		report = wire.Report{Failure: wire.NewFailure(err)}
	}
	if r.send(report) != nil || !s.done() {
		// mayfly can no longer remove the directory.
		return errors.Join(err, abandon(s.start))
	}
	return nil
}

// greet reads mayfly's hello. If mayfly speaks another protocol, greet reports that, waits until mayfly has hung up, and returns
// false. It waits because mayfly may still be sending its request.
func greet(r *reporter, dec *json.Decoder) (bool, error) {
	var hello wire.Hello
	if err := dec.Decode(&hello); err != nil {
		return false, fmt.Errorf("read mayfly's hello: %w", err)
	}
	err := hello.Check(wire.NewHello())
	if err == nil {
		return true, nil
	}
	if err := r.send(wire.Report{Failure: wire.NewFailure(err)}); err != nil {
		return false, err
	}
	for dec.Decode(new(json.RawMessage)) == nil {
	}
	return false, nil
}

// done waits until mayfly has the last report, and reports whether mayfly confirmed it.
func (s *supervisor) done() bool {
	for req := range s.requests {
		if req.Done {
			return true
		}
	}
	return false
}

// reporter writes reports. Several goroutines may use it.
type reporter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (r *reporter) send(report wire.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.enc.Encode(report)
}

func (r *reporter) event(e engine.Event) {
	// An error means that mayfly is gone; readRequests notices it too and ends
	// the sandbox.
	_ = r.send(wire.Report{Event: &e})
}

// supervisor is one sandbox.
type supervisor struct {
	start    *wire.Start
	report   *reporter
	requests chan wire.Request // closed when mayfly is gone

	holder      *holder
	net         *usernet.Network  // nil if the sandbox has no network
	loopback    *usernet.Loopback // nil if no port of the loopback is mocked
	rootfs      *rootfs
	oci         *specs.Spec
	container   container
	ended       chan struct{}    // closed when the container's first process was reaped
	state       *os.ProcessState // of that process; valid when ended is closed
	accounts    accounts
	ending      ending
	asked       bool          // mayfly asked the tool to end
	sent        engine.Signal // the last signal that mayfly asked for
	manySockets bool          // the tool had more sockets than its memory limit allows
	manyLocks   bool          // the tool had more than engine.MaxLocks
	locks       lockCounter
	uncounted   error // the reason why sockets or locks can't be counted
	killed      bool  // the holder was killed, and the namespaces with it
	held        int64 // bytes of the sandbox's files that were counted for removed cgroups
}

// readRequests passes requests on until mayfly closes the socket or ends.
func (s *supervisor) readRequests(from io.Reader) {
	defer close(s.requests)
	dec := json.NewDecoder(from)
	for {
		var req wire.Request
		if err := dec.Decode(&req); err != nil {
			s.orphaned()
			return
		}
		s.requests <- req
	}
}

// run starts the tool and waits for its end. The caller must call keep if the
// sandbox is kept, and otherwise clean.
func (s *supervisor) run(stdin, stdout, stderr *os.File) (*engine.Exit, error) {
	b, err := s.prepare()
	if err != nil {
		return nil, err
	}
	if b.output != nil {
		defer b.output.Close()
	}
	s.oci = b.oci
	if err := s.startContainer(stdin, stdout, stderr); err != nil {
		return nil, err
	}
	// Only the tool has its streams now, so their readers see their end.
	for _, f := range []*os.File{stdin, stdout, stderr} {
		_ = f.Close()
	}
	exit := &engine.Exit{Started: time.Now().UTC()}
	if err := s.report.send(wire.Report{Running: true}); err != nil {
		return nil, err
	}
	outOfMemory := s.watch()
	if err := s.end(exit, outOfMemory, b.output); err != nil {
		return nil, err
	}
	return exit, nil
}

// end takes down what the tool's first process has left, and fills in how the
// run ended. Each step needs the ones before it:
//
//  1. The time for the end begins. What hangs in the steps that follow is
//     reported instead of waited for (ending.go).
//  2. The first process's status is the run's. It says whether the sandbox is kept.
//  3. All other processes of the tool are killed. They could still write
//     files, open connections and use memory, which steps 5 and 6 read. In a
//     kept sandbox the holder lives on, with the namespaces that shells enter.
//     Otherwise the holder's death ends all of them at once, and they are waited for.
//  4. The network is closed, unless shells need it. Nothing uses it any more, so its
//     counters are final.
//  5. The outcome is read: before clean removes the cgroup and the file
//     system that know it.
//  6. The caches are saved. This is last, since only a success is saved, and
//     step 5 may find that the run wasn't one. It takes as long as it needs, so
//     the time stops.
//
// Supervise goes on: clean removes the cgroup, which must be empty, and only
// then the exit is reported. So whoever has the exit finds nothing of the sandbox left,
// except the run's directory, which mayfly removes.
func (s *supervisor) end(exit *engine.Exit, outOfMemory bool, output *os.File) error {
	// 1
	s.expectEnd()
	if s.uncounted != nil {
		return s.uncounted
	}
	// 2
	exit.Finished = time.Now().UTC()
	exit.Code, exit.Signal = exitStatus(s.state)
	if s.sent != 0 && exit.Code == engine.ExitSignal(s.sent) { // another runtime reports a signal only by its exit status
		exit.Signal = s.sent
	}
	exit.Kept = s.start.Spec.KeepFor > 0 && (exit.Code != 0 || outOfMemory || s.asked) && !s.killed
	// 3 and 4
	if exit.Kept {
		if err := s.container.signal(unix.SIGKILL); err != nil {
			return fmt.Errorf("end what the tool left running: %w", err)
		}
	} else {
		if err := s.kill(); err != nil {
			return err
		}
		s.reap()
		s.closeNetwork()
	}
	// 5
	if err := s.outcome(exit, outOfMemory, output); err != nil {
		return err
	}
	// 6: what is kept isn't a success, so no process of the tool is alive here.
	if exit.Code == 0 && !exit.OutOfMemory && !s.asked {
		s.pauseEnd()
		return s.saveCaches()
	}
	return nil
}

// outcome fills in the parts of the exit that are known after the tool's end:
// what it used, which limits it reached, and its outputs.
func (s *supervisor) outcome(exit *engine.Exit, outOfMemory bool, output *os.File) (err error) {
	if exit.Usage, err = s.usage(); err != nil {
		return fmt.Errorf("read what the tool used: %w", err)
	}
	killed, err := s.accounts.outOfMemory()
	if err != nil {
		return err
	}
	if exit.TooManyProcesses, err = s.accounts.tooManyProcesses(); err != nil {
		return err
	}
	if exit.Full, err = s.rootfs.full(); err != nil {
		return fmt.Errorf("read what the tool's files take: %w", err)
	}
	exit.OutOfMemory, exit.TooManySockets, exit.TooManyLocks = outOfMemory || killed, s.manySockets, s.manyLocks
	if s.rootfs.trusting != nil {
		exit.Trusting = s.rootfs.trusting.changed
	}
	exit.MayRunItself = s.rootfs.mayRunMocked
	if output != nil {
		if exit.Output, exit.OutputTruncated, err = readOutput(output, s.start.Spec.MaxOutputBytes); err != nil {
			return err
		}
	}
	return nil
}

func exitStatus(state *os.ProcessState) (int, engine.Signal) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		sig := engine.Signal(status.Signal())
		return engine.ExitSignal(sig), sig
	}
	return state.ExitCode(), 0
}

// prepare makes everything that the container needs.
func (s *supervisor) prepare() (*bundle, error) {
	var err error
	if s.holder, err = takeHolder(); err != nil {
		return nil, err
	}
	// The network and the file system don't need each other.
	networkUp := make(chan error, 1)
	go func() {
		var err error
		report := func(c engine.Connection) { s.report.event(engine.Event{Connection: &c}) }
		if s.net, err = startNetwork(s.start, s.holder.namespace("net"), report); err == nil {
			s.loopback, err = startLoopback(s.start, s.holder.namespace("net"), report)
		}
		networkUp <- err
	}()
	b, err := s.prepareFiles()
	return b, errors.Join(err, <-networkUp)
}

func (s *supervisor) prepareFiles() (*bundle, error) {
	var err error
	other := s.start.Spec.Security.OtherRuntime()
	if err := checkRuntime(s.start.Spec); err != nil {
		return nil, err
	}
	if err := checkMocks(s.start); err != nil {
		return nil, err
	}
	userNS := s.holder.namespace("user")
	if other {
		userNS = "" // the runtime maps ids itself
	}
	if s.rootfs, err = mountRootfs(s.start, userNS); err != nil {
		return nil, err
	}
	b, err := newBundle(s.start, s.rootfs)
	if err != nil {
		return nil, err
	}
	b.oci.Linux.Namespaces = []specs.LinuxNamespace{
		{Type: specs.NetworkNamespace, Path: s.holder.namespace("net")},
		{Type: specs.MountNamespace},
		{Type: specs.IPCNamespace},
		{Type: specs.UTSNamespace},
		{Type: specs.CgroupNamespace},
	}
	if other {
		b.oci.Linux.Namespaces = append(b.oci.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
	} else {
		b.oci.Linux.Namespaces = append(b.oci.Linux.Namespaces,
			specs.LinuxNamespace{Type: specs.UserNamespace, Path: userNS},
			specs.LinuxNamespace{Type: specs.PIDNamespace, Path: s.holder.namespace("pid")})
	}
	return b, nil
}

// startContainer starts the tool's first process.
func (s *supervisor) startContainer(stdin, stdout, stderr *os.File) error {
	if !s.oci.Process.Terminal {
		if err := s.giveStreams(stdin, stdout, stderr); err != nil {
			return fmt.Errorf("give the tool its streams: %w", err)
		}
	}
	if !s.start.Spec.Security.OtherRuntime() {
		if err := s.showLimits(); err != nil {
			return fmt.Errorf("show the tool its limits: %w", err)
		}
	}
	c, err := s.newContainer()
	if err != nil {
		return fmt.Errorf("make the container: %w", err)
	}
	s.container = c // only without an error: a nil pointer in the interface wouldn't be nil
	if err := s.container.start(stdin, stdout, stderr); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		s.state = s.container.wait()
		close(ended)
	}()
	s.accounts = accounts{paths: s.container.cgroupPaths(), unified: cgroups.IsCgroup2UnifiedMode()}
	s.locks = lockCounter{file: "/proc/locks", procs: s.accounts.processes}
	return nil
}

// giveStreams makes the tool's user the owner of its pipes, so that a program
// can reopen them through /dev/stdout. A file that isn't a pipe belongs to the
// host, and isn't changed.
func (s *supervisor) giveStreams(files ...*os.File) error {
	uid, gid := s.rootfs.user.hostIDs(s.rootfs.firstID)
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode().Type() != fs.ModeNamedPipe {
			continue
		}
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// container is the tool's process with its cgroup, by libcontainer or by another
// OCI runtime. It is started once, and always destroyed.
type container interface {
	start(stdin, stdout, stderr *os.File) error
	// wait returns when the first process has ended.
	wait() *os.ProcessState
	// signal sends a signal to the first process, or SIGKILL to all processes.
	signal(sig unix.Signal) error
	// notifyOOM returns a channel that receives when the kernel kills a process
	// because of the memory limit; nil if only the counters say so.
	notifyOOM() <-chan struct{}
	cgroupPaths() map[string]string
	// destroy removes the cgroup. All its processes must have ended.
	destroy() error
}

// newContainer makes the container that the spec's runtime asks for.
func (s *supervisor) newContainer() (container, error) {
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: s.start.Spec.ID, Spec: s.oci, NoNewKeyring: true})
	if err != nil {
		return nil, err
	}
	if s.start.Spec.Security.OtherRuntime() {
		return newRuntimeContainer(s.start.Spec, s.oci, config.Cgroups, s.rootfs)
	}
	if config.AppArmorProfile, err = loadAppArmor(s.start.Rootless); err != nil {
		return nil, err
	}
	if s.rootfs.hasDevices {
		config.Devices = nil // the host's devices, which libcontainer would mount; the cgroup's rules for devices are elsewhere
	}
	return newLibContainer(s.start.Spec.ID, s.oci, config, s.rootfs)
}

// watch serves requests and reports usage until the tool's first process ends.
func (s *supervisor) watch() (outOfMemory bool) {
	oom := s.container.notifyOOM()
	tick := time.NewTicker(metricInterval)
	defer tick.Stop()
	count := time.NewTicker(socketInterval)
	defer count.Stop()
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	requests, collecting := s.requests, false
	for {
		select {
		case <-s.ended:
			return outOfMemory
		case req, ok := <-requests:
			if !ok {
				requests = nil
				_ = s.kill() // repeated after the tool's end, where the error is reported
				continue
			}
			s.serve(req)
		case _, ok := <-oom:
			if !ok {
				oom = nil
				continue
			}
			outOfMemory = true
			s.endTool() // the whole run ends, not only the process that the kernel chose
		case <-settled.C:
			_ = s.holder.runAnywhere() // only speed depends on it
		case <-count.C:
			sockets, locks, err := s.count()
			switch {
			case err != nil:
				s.uncounted = err
				s.endTool()
			case sockets || locks:
				outOfMemory = true
				s.manySockets, s.manyLocks = s.manySockets || sockets, s.manyLocks || locks
				s.endTool()
			}
		case <-tick.C:
			if !collecting {
				// The garbage collector was off for the start (mayfly sets GOGC):
				// a short run is faster without it, and a longer run needs less
				// memory with it.
				collecting = true
				debug.SetGCPercent(50)
			}
			if killed, err := s.accounts.outOfMemory(); err == nil && killed {
				outOfMemory = true
				s.endTool()
			}
			if u, err := s.usage(); err == nil {
				s.report.event(engine.Event{Usage: &u})
			}
		}
	}
}

// count reports whether the sandbox has more sockets or locks, which no cgroup
// counts, than a run may have.
func (s *supervisor) count() (sockets, locks bool, err error) {
	sockets, err = tooManySockets(s.holder.sockstat(), s.start.Spec.Resources.Memory)
	if err != nil {
		return false, false, err
	}
	locks, err = s.locks.tooMany()
	return sockets, locks, err
}

func (s *supervisor) serve(req wire.Request) {
	if req.Signal == nil {
		return
	}
	s.asked, s.sent = true, *req.Signal
	if *req.Signal == engine.SIGKILL {
		s.endTool()
		return
	}
	_ = s.container.signal(unix.Signal(*req.Signal)) // the tool may have ended meanwhile
}

// endTool kills every process of the tool. The holder, which keeps the
// namespaces, stays only in a sandbox that will be kept.
func (s *supervisor) endTool() {
	s.expectEnd()
	if s.start.Spec.KeepFor > 0 && s.container.signal(unix.SIGKILL) == nil {
		return
	}
	_ = s.kill() // repeated after the tool's end, where the error is reported
}

// kill ends every process of the sandbox: those of its pid namespace together,
// and another runtime's processes outside it.
func (s *supervisor) kill() error {
	s.expectEnd()
	s.killed = true
	s.holder.kill()
	if s.container == nil {
		return nil
	}
	return s.container.signal(unix.SIGKILL)
}

// reap waits until every process of the sandbox is gone, after kill.
func (s *supervisor) reap() {
	if s.ended != nil {
		<-s.ended
	}
	s.holder.reap()
}

// usage returns what the sandbox has used so far.
func (s *supervisor) usage() (engine.Usage, error) {
	u, err := s.accounts.usage()
	if err != nil {
		return u, err
	}
	if s.net != nil {
		u.NetworkRxBytes, u.NetworkTxBytes = s.net.Bytes()
	}
	u.DiskBytes, err = s.rootfs.diskBytes()
	return u, err
}

// clean undoes prepare and startContainer, even if they did only a part of their
// work. The mounts end with this process's mount namespace.
func (s *supervisor) clean() error {
	if s.holder == nil {
		return nil
	}
	err := s.kill()
	s.reap()
	s.closeNetwork()
	if s.container != nil {
		err = errors.Join(err, s.container.destroy())
	}
	return errors.Join(err, s.hideLimits())
}

func (s *supervisor) closeNetwork() {
	if s.net != nil {
		s.net.Close()
	}
	if s.loopback != nil {
		s.loopback.Close()
	}
}

// readOutput reads the tool's output file, at most limit bytes, and reports
// whether there are more. The file is a mount point in the sandbox, so the tool
// could not replace it.
func readOutput(f *os.File, limit int64) ([]byte, bool, error) {
	data, err := document.Read(f, limit)
	if errors.Is(err, document.ErrTooLarge) {
		return data, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the tool's outputs: %w", err)
	}
	return data, false, nil
}
