package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// libContainer is the default container. It uses runc's library in this process.
type libContainer struct {
	container *libcontainer.Container
	process   *libcontainer.Process
	terminal  bool
	memory    int64 // the limit, in bytes
	cgroups   map[string]string
}

// stateDir returns the directory of libcontainer's state.
func (r *rootfs) stateDir() string { return filepath.Join(r.dir, "state") }

// mountState mounts a separate file system on stateDir. Otherwise a tool that has used up its disk or its number of files
// would also use up that of the state, and no shell could start in its kept sandbox.
func (r *rootfs) mountState() error {
	if err := os.Mkdir(r.stateDir(), 0o711); err != nil {
		return err
	}
	if err := unix.Mount("mayfly-state", r.stateDir(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4m,nr_inodes=64,mode=0711"); err != nil {
		return fmt.Errorf("mount the memory file system for the container's state: %w", err)
	}
	return nil
}

func newLibContainer(id string, oci *specs.Spec, config *configs.Config, r *rootfs) (*libContainer, error) {
	config.ParentDeathSignal = int(unix.SIGKILL)
	c, err := libcontainer.Create(r.stateDir(), id, config)
	if err != nil {
		return nil, err
	}
	passLimits(oci.Process.Rlimits)
	p := &libcontainer.Process{
		Init: true,
		Args: oci.Process.Args,
		Env:  oci.Process.Env,
		Cwd:  oci.Process.Cwd,
		UID:  r.user.uid, GID: r.user.gid, AdditionalGroups: r.user.groups,
	}
	if size := oci.Process.ConsoleSize; oci.Process.Terminal && size != nil {
		p.ConsoleWidth, p.ConsoleHeight = uint16(size.Width), uint16(size.Height)
	}
	return &libContainer{container: c, process: p, terminal: oci.Process.Terminal, memory: *oci.Linux.Resources.Memory.Limit}, nil
}

func (c *libContainer) start(stdin, stdout, stderr *os.File) error {
	p := c.process
	if c.terminal {
		p.ConsoleSocket = stdin
	} else {
		p.Stdin, p.Stdout, p.Stderr = stdin, stdout, stderr
	}
	if err := c.run(); err != nil {
		// libcontainer has reaped its process, unless one of the last steps
		// failed. Then kill and reap it here.
		if p.Signal(unix.SIGKILL) == nil {
			_, _ = p.Wait()
		}
		return startError(p.Args[0], err)
	}
	return nil
}

// run makes the process, sets the limits that libcontainer doesn't set, and lets the process execute the tool.
func (c *libContainer) run() error {
	if err := c.container.Start(c.process); err != nil {
		return err
	}
	state, err := c.container.State()
	if err != nil {
		return fmt.Errorf("look at the container: %w", err)
	}
	c.cgroups = state.CgroupPaths
	if err := limitSocketMemory(c.cgroups, c.memory); err != nil {
		return err
	}
	return c.container.Exec()
}

// startError recognises failures of the tool's command among libcontainer's
// errors, which are text because they have crossed a socket.
func startError(command string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory") && strings.Contains(text, "exec"):
		return &engine.CommandError{Path: command, NotFound: true, Why: "it is not in the sandbox's PATH"}
	case strings.Contains(text, "permission denied") && strings.Contains(text, "exec"):
		return &engine.CommandError{Path: command, Why: "permission denied for the tool's user"}
	}
	return fmt.Errorf("start the container: %w", err)
}

func (c *libContainer) wait() *os.ProcessState {
	state, _ := c.process.Wait() // the state says the same as the error
	return state
}

func (c *libContainer) signal(sig unix.Signal) error {
	if sig != unix.SIGKILL {
		return c.process.Signal(sig)
	}
	err := c.container.Signal(sig)
	if errors.Is(err, libcontainer.ErrNotRunning) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (c *libContainer) notifyOOM() <-chan struct{} {
	oom, err := c.container.NotifyOOM()
	if err != nil {
		return nil // the counters say so too, a little later
	}
	return oom
}

func (c *libContainer) cgroupPaths() map[string]string { return c.cgroups }

func (c *libContainer) destroy() error { return c.container.Destroy() }
