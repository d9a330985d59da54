package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/sandbox/usernet"
)

// checkMocks refuses mocks that nobody serves, before a tool meets resets that don't say why.
func checkMocks(start *wire.Start) error {
	m := start.Spec.Mocks
	if m == nil {
		return nil
	}
	if start.Spec.Network.Mode != network.ModeNone || len(m.Loopback) > 0 {
		if _, err := checkSocket(start.Local.Connections); err != nil {
			return err
		}
	}
	if len(m.Commands) == 0 {
		return nil
	}
	mode, err := checkSocket(start.Local.Commands)
	if err == nil && mode.Perm()&0o002 == 0 {
		err = &engine.InvalidError{
			Field: "mocks", Why: "the sandbox's users may not connect to the socket " + start.Local.Commands + "; give it mode 0666 in a folder that only its owner may search",
		}
	}
	return err
}

func checkSocket(at string) (os.FileMode, error) {
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return 0, &engine.InvalidError{Field: "mocks", Why: "nobody listens for them: " + err.Error()}
	case info.Mode().Type() != os.ModeSocket:
		return 0, &engine.InvalidError{Field: "mocks", Why: at + " is not a socket"}
	}
	return info.Mode(), nil
}

// mocksOf is what the sandbox's network needs of a test's mocks.
func mocksOf(start *wire.Start) *usernet.Mocks {
	if start.Spec.Mocks == nil {
		return nil
	}
	return &usernet.Mocks{Connections: start.Local.Connections, Allow: start.Spec.Mocks.Allow}
}

// Where a mocked command is, and the socket on which it is answered; commandstub.c has them too.
const (
	commandsDir   = "/run/mayfly/commands"
	commandSocket = "/run/mayfly/commands.sock"
)

// commandMounts put a test's mocked commands, which are answered at a socket of the host, in place: each is this program, which knows by its path what it is there
// (commandstub.c).
func (r *rootfs) commandMounts(names []string, at string) ([]specs.Mount, error) {
	if len(names) == 0 {
		return nil, nil
	}
	// Mounted here first: the container's side may not search every folder that they are in.
	shim, err := r.ownShim()
	if err != nil {
		return nil, fmt.Errorf("put the mocked commands into the sandbox: %w", err)
	}
	program, err := r.bindHere(shim, "command")
	if err != nil {
		return nil, err
	}
	socket, err := r.bindHere(at, "commands.sock")
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(program); err != nil || info.Mode().Perm()&0o001 == 0 {
		return nil, &engine.Unsupported{
			Feature: "mocked commands", Why: "only its owner may execute mayfly-shim, which stands for them", Remedy: "chmod 755 mayfly-shim",
		}
	}
	mounts := []specs.Mount{bind(socket, commandSocket, "ro", "noexec")}
	for _, name := range names {
		mounts = append(mounts, bind(program, filepath.Join(commandsDir, name), "ro"))
	}
	return mounts, nil
}

// ownShim is this program's file in an overlay of the run's own. By the host's file a tool could have the host's disk flush
// (fsync(2)), and would share locks and inotify marks with the host and other runs.
func (r *rootfs) ownShim() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := unix.Open(filepath.Dir(exe), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: filepath.Dir(exe), Err: err}
	}
	defer unix.Close(dir)
	target, empty := filepath.Join(r.dir, "shim"), filepath.Join(r.dir, "empty")
	for _, d := range []string{target, empty} { // one folder alone can't be an overlay without an upper one
		if err := r.mkdir(d, 0o711, r.firstID, r.firstID); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=%s:/proc/self/fd/%d", empty, dir)
	if err := unix.Mount("mayfly", target, "overlay", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return "", &engine.Unsupported{
			Feature: "mocked commands", Why: fmt.Sprintf("the folder of mayfly-shim, %s, can't be the lower layer of an overlay: %v", filepath.Dir(exe), err),
			Remedy: "install mayfly-shim on another file system, such as ext4, xfs or tmpfs",
		}
	}
	return filepath.Join(target, filepath.Base(exe)), nil
}

// bindHere mounts a file of the host in the sandbox's own file system, outside of its root.
func (r *rootfs) bindHere(file, name string) (string, error) {
	target, err := r.readOnlyFile("scratch", name, nil, 0o400)
	if err == nil {
		err = unix.Mount(file, target, "", unix.MS_BIND, "")
	}
	if err != nil {
		return "", &os.PathError{Op: "mount in the sandbox", Path: file, Err: err}
	}
	return target, nil
}

// mockMounts are all that a test's mocks need in the sandbox.
func (r *rootfs) mockMounts(start *wire.Start) ([]specs.Mount, error) {
	m := start.Spec.Mocks
	if m == nil {
		return nil, nil
	}
	trust, err := r.trustMounts(m.Authority)
	if err != nil {
		return nil, err
	}
	commands, err := r.commandMounts(m.Commands, start.Local.Commands)
	return append(trust, commands...), err
}

// withMocks changes a tool's environment so that its programs meet the mocks.
func withMocks(env []string, m *engine.Mocks) []string {
	if m == nil {
		return env
	}
	if len(m.Authority) > 0 {
		env = slices.DeleteFunc(env, func(kv string) bool {
			return slices.ContainsFunc(trustVariables, func(own string) bool { return variable(own) == variable(kv) })
		})
		env = append(env, trustVariables...)
	}
	if len(m.Commands) > 0 {
		for i, kv := range env {
			if path, ok := strings.CutPrefix(kv, "PATH="); ok {
				env[i] = strings.TrimSuffix("PATH="+commandsDir+":"+path, ":") // an empty entry would be the working directory
			}
		}
	}
	return env
}

// variable is the name of a variable with its value.
func variable(kv string) string {
	name, _, _ := strings.Cut(kv, "=")
	return name
}
