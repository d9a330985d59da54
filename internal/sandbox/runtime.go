package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// runtimeProgram is an OCI runtime and the flags that it needs here.
type runtimeProgram struct {
	program string
	flags   []string
}

// runtimes are the values of security.runtime other than "default".
//
// gVisor's sandbox uses the sockets of its network namespace (--network=host).
// That namespace is the run's own, so the egress policy applies. Its limits are
// those of the cgroup that it is put into. --oci-seccomp makes its kernel apply a
// seccomp profile too (sentryProfile).
var runtimes = map[string]runtimeProgram{
	"gvisor": {"runsc", []string{"--network=host", "--ignore-cgroups", "--host-uds=none", "--oci-seccomp"}},
}

// checkRuntime refuses features that the runtime doesn't support.
func checkRuntime(spec *engine.Spec) error {
	name := spec.Security.Runtime
	if !spec.Security.OtherRuntime() {
		return nil
	}
	feature := fmt.Sprintf("runtime %q", name)
	r, known := runtimes[name]
	if !known {
		return &engine.Unsupported{Feature: feature, Why: "the embedded engine knows only default and gvisor (Kata Containers isn't supported)", Remedy: "use one of these"}
	}
	if spec.Mocks != nil {
		return &engine.Unsupported{Feature: "mocks under " + feature, Why: "its kernel connects and executes by itself", Remedy: "leave security.runtime out of the tool for its tests"}
	}
	if _, err := exec.LookPath(r.program); err != nil {
		return &engine.Unsupported{Feature: feature, Why: r.program + " is not installed", Remedy: "install it (Debian: apt-get install runsc), or leave security.runtime out"}
	}
	if spec.Terminal {
		return &engine.Unsupported{Feature: "terminal under " + feature, Why: "the runtime can't hand it over", Remedy: "leave out --tty"}
	}
	return nil
}

// runtimeContainer is a container of another OCI runtime, with the same bundle.
// All processes of the runtime are in the run's cgroup.
type runtimeContainer struct {
	cmd    *exec.Cmd
	kill   []string // the runtime's command that signals the tool, except the signal
	cgroup cgroups.Manager

	ended   chan struct{}  // closed when the runtime has ended
	signals sync.WaitGroup // signals that aren't delivered yet
}

func newRuntimeContainer(spec *engine.Spec, oci *specs.Spec, cgroup *cgroups.Cgroup, r *rootfs) (*runtimeContainer, error) {
	program := runtimes[spec.Security.Runtime]
	path, err := exec.LookPath(program.program)
	if err != nil {
		return nil, err
	}
	// The configuration contains the environment, and with it values of secrets,
	// so it is kept with the other secrets.
	bundle := filepath.Join(r.dir, "secrets", "bundle")
	if err := os.Mkdir(bundle, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	config, err := json.Marshal(oci)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600); err != nil {
		return nil, err
	}
	m, err := manager.New(cgroup)
	if err != nil {
		return nil, err
	}
	args := append([]string{path, "--root", filepath.Join(bundle, "state")}, program.flags...)
	kill := append(slices.Clone(args), "kill", spec.ID)
	args = append(args, "run", "--bundle", bundle, spec.ID)
	return &runtimeContainer{
		cgroup: m,
		kill:   kill,
		ended:  make(chan struct{}),
		cmd: &exec.Cmd{
			Path: "/proc/self/exe",
			Args: append([]string{"mayfly-wait"}, args...),
			Env:  []string{"PATH=" + defaultPath},
			Dir:  "/",
			SysProcAttr: &syscall.SysProcAttr{
				Setsid:    true,
				Pdeathsig: unix.SIGKILL,
			},
		},
	}, nil
}

func (c *runtimeContainer) start(stdin, stdout, stderr *os.File) error {
	ready, begin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	defer begin.Close()
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = stdin, stdout, stderr
	c.cmd.ExtraFiles = []*os.File{ready}
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start the runtime: %w", err)
	}
	// The process waits for a byte on descriptor 3 (holder.c), so that the runtime
	// never runs outside the cgroup.
	if err := c.cgroup.Apply(c.cmd.Process.Pid); err != nil {
		return fmt.Errorf("put the runtime into its cgroup: %w", err)
	}
	resources, err := c.cgroup.GetCgroups()
	if err != nil {
		return err
	}
	// The runtime makes the sandbox's devices itself.
	resources.SkipDevices = true
	if err := c.cgroup.Set(resources.Resources); err != nil {
		return fmt.Errorf("set the limits: %w", err)
	}
	if err := limitSocketMemory(c.cgroup.GetPaths(), resources.Memory); err != nil {
		return err
	}
	_, err = begin.Write([]byte{1})
	return err
}

func (c *runtimeContainer) wait() *os.ProcessState {
	_ = c.cmd.Wait() // the state says the same as the error
	close(c.ended)
	c.signals.Wait()
	return c.cmd.ProcessState
}

// killTime is the time limit of the runtime's command that signals the tool.
const killTime = 5 * time.Second

// deliver tries once to signal the tool. It fails if the runtime doesn't have the container yet, or no longer has it.
func (c *runtimeContainer) deliver(sig unix.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.kill[0], append(slices.Clone(c.kill[1:]), strconv.Itoa(int(sig)))...)
	cmd.Env, cmd.Dir = c.cmd.Env, "/"
	return cmd.Run()
}

// signalPause is the time between two tries to signal a tool that the runtime hasn't started yet.
const signalPause = 20 * time.Millisecond

// signal lets the runtime signal the tool. A signal to the runtime's own process
// would end it, and the tool with it, without the tool's grace period. The runtime
// starts the container some time after itself, so a signal is repeated until then.
func (c *runtimeContainer) signal(sig unix.Signal) error {
	if c.cmd.Process == nil {
		return nil
	}
	if sig != unix.SIGKILL {
		c.signals.Go(func() {
			for c.deliver(sig) != nil {
				select {
				case <-c.ended:
					return
				case <-time.After(signalPause):
				}
			}
		})
		return nil
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		pids, err := c.cgroup.GetAllPids()
		if errors.Is(err, os.ErrNotExist) || err == nil && len(pids) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the runtime don't die", pids)
		}
	}
}

func (c *runtimeContainer) notifyOOM() <-chan struct{} { return nil }

func (c *runtimeContainer) cgroupPaths() map[string]string { return c.cgroup.GetPaths() }

func (c *runtimeContainer) destroy() error { return c.cgroup.Destroy() }
