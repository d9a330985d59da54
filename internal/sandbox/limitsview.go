package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cgroupMount is where programs look for their limits: the JVM, Node and Go size
// themselves by them (cgroups(7)).
const cgroupMount = "/sys/fs/cgroup"

// shownControllers are those of cgroup v1 whose files programs size themselves
// by. The JVM needs all four to use any.
var shownControllers = []string{"memory", "cpu", "cpuacct", "cpuset"}

// showLimits mounts the run's own cgroup, read-only, where programs look for it.
// The cgroup is made here, so that it can be mounted before libcontainer has it.
// A shell's is a new one, and takes the place of the one before, which is gone.
func (s *supervisor) showLimits() error {
	at := filepath.Join(s.rootfs.dir, "held", "cgroup")
	switch err := unix.Unmount(at, unix.MNT_DETACH); {
	case errors.Is(err, unix.ENOENT): // the first
		if err := s.rootfs.mkdir(at, 0o755, s.rootfs.firstID, s.rootfs.firstID); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, unix.EINVAL): // not mounted, since that failed for a shell before
		return fmt.Errorf("unmount %s: %w", at, err)
	}
	if cgroups.IsCgroup2UnifiedMode() {
		if err := mountCgroup(filepath.Join(cgroupMount, s.start.Cgroup), at); err != nil {
			return err
		}
	} else if err := s.showControllers(at); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(unix.AT_FDCWD, at, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("make %s read-only: %w", at, err)
	}
	if slices.ContainsFunc(s.oci.Mounts, func(m specs.Mount) bool { return m.Destination == cgroupMount }) {
		return nil
	}
	// It keeps its attributes: options here would have it mounted once more.
	s.oci.Mounts = append(s.oci.Mounts, specs.Mount{
		Destination: cgroupMount, Type: "bind", Source: at, Options: []string{"rbind", "rprivate"},
	})
	return nil
}

// showControllers mounts the cgroup of each hierarchy of v1 that there is.
func (s *supervisor) showControllers(at string) error {
	if err := cloneMount(at, at); err != nil { // so that it has attributes of its own
		return err
	}
	for _, controller := range shownControllers {
		hierarchy := filepath.Join(cgroupMount, controller)
		if _, err := os.Stat(filepath.Join(hierarchy, filepath.Dir(s.start.Cgroup))); errors.Is(err, fs.ErrNotExist) {
			continue // the kernel doesn't have it, or an ordinary user wasn't given it
		}
		target := filepath.Join(at, controller)
		err := s.rootfs.mkdir(target, 0o755, s.rootfs.firstID, s.rootfs.firstID)
		if err != nil && !errors.Is(err, fs.ErrExist) { // from the container before
			return err
		}
		if err := mountCgroup(filepath.Join(hierarchy, s.start.Cgroup), target); err != nil {
			return err
		}
	}
	return nil
}

// hideLimits removes the cgroups that showLimits made for a container that was then not created. Those of a created one
// are gone already.
func (s *supervisor) hideLimits() error {
	dirs := []string{filepath.Join(cgroupMount, s.start.Cgroup)}
	for _, controller := range shownControllers {
		dirs = append(dirs, filepath.Join(cgroupMount, controller, s.start.Cgroup))
	}
	var errs []error
	for _, dir := range dirs {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove the cgroup %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

func mountCgroup(dir, target string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the run's cgroup: %w", err)
	}
	return cloneMount(dir, target)
}

// cloneMount bind-mounts a folder at target, which may be the folder itself.
func cloneMount(dir, target string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}
