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

// cgroupMount is the directory where programs look for their limits (cgroups(7)).
// The JVM, Node and Go size themselves by them.
const cgroupMount = "/sys/fs/cgroup"

// shownControllers are the controllers of cgroup v1 that programs read to size
// themselves. The JVM uses none of them unless it finds all four.
var shownControllers = []string{"memory", "cpu", "cpuacct", "cpuset"}

// showLimits mounts the run's own cgroup, read-only, where programs look for it.
// It makes the cgroup, so that it can mount it before libcontainer uses it. The
// container of a shell has a new cgroup, which replaces the former mount: the
// former cgroup is gone.
func (s *supervisor) showLimits() error {
	at := filepath.Join(s.rootfs.dir, "held", "cgroup")
	switch err := unix.Unmount(at, unix.MNT_DETACH); {
	case errors.Is(err, unix.ENOENT): // the first container
		if err := s.rootfs.mkdir(at, 0o755, s.rootfs.firstID, s.rootfs.firstID); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, unix.EINVAL): // EINVAL: it isn't mounted, because that failed for an earlier shell
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
	// The mount keeps its attributes. With more options here it would be mounted again.
	s.oci.Mounts = append(s.oci.Mounts, specs.Mount{
		Destination: cgroupMount, Type: "bind", Source: at, Options: []string{"rbind", "rprivate"},
	})
	return nil
}

// showControllers mounts the run's cgroup of each v1 hierarchy that exists.
func (s *supervisor) showControllers(at string) error {
	if err := cloneMount(at, at); err != nil { // a separate mount, so that it can have its own attributes
		return err
	}
	for _, controller := range shownControllers {
		hierarchy := filepath.Join(cgroupMount, controller)
		if _, err := os.Stat(filepath.Join(hierarchy, filepath.Dir(s.start.Cgroup))); errors.Is(err, fs.ErrNotExist) {
			continue // the kernel doesn't have it, or it isn't delegated to this user
		}
		target := filepath.Join(at, controller)
		err := s.rootfs.mkdir(target, 0o755, s.rootfs.firstID, s.rootfs.firstID)
		if err != nil && !errors.Is(err, fs.ErrExist) { // it exists from an earlier container
			return err
		}
		if err := mountCgroup(filepath.Join(hierarchy, s.start.Cgroup), target); err != nil {
			return err
		}
	}
	return nil
}

// hideLimits removes the cgroups that showLimits made, if the container could not be created. The cgroups of a created
// container are already gone.
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
