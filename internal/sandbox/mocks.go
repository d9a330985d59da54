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

// checkMocks refuses mocks without a listener. Otherwise the tool would see resets without a reason.
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

// mocksOf returns the part of a test's mocks that the sandbox's network needs, or nil without mocks.
func mocksOf(start *wire.Start) *usernet.Mocks {
	if start.Spec.Mocks == nil {
		return nil
	}
	return &usernet.Mocks{Connections: start.Local.Connections, Allow: start.Spec.Mocks.Allow}
}

// The folder of the mocked commands, and the socket at which they are answered. commandstub.c has both too.
const (
	commandsDir   = "/run/mayfly/commands"
	commandSocket = "/run/mayfly/commands.sock"
)

// commandMounts returns the mounts of a test's mocked commands, and of the socket at which they are answered; at is its path
// on the host. Each command is this program, which recognises its role by its path (commandstub.c).
func (r *rootfs) commandMounts(names []string, at string) ([]specs.Mount, error) {
	if len(names) == 0 {
		return nil, nil
	}
	// Mount both here first: the container's side may not be allowed to search all folders of their paths.
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

// ownShim returns the path of this program's file in an overlay that the run has to itself. With the host's file a tool could
// flush the host's disk (fsync(2)), and would share locks and inotify marks with the host and other runs.
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
	for _, d := range []string{target, empty} { // without an upper folder an overlay needs two lower ones
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

// bindHere mounts a file of the host in the sandbox's own file system, outside its root, and returns its path on the host.
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

// mockMounts returns all mounts that a test's mocks need.
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

// withMocks changes a tool's environment so that its programs use the mocks.
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

// variable returns the name in "NAME=VALUE".
func variable(kv string) string {
	name, _, _ := strings.Cut(kv, "=")
	return name
}
