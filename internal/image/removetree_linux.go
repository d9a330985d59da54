package image

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// removeTree deletes path and everything below it. It doesn't enter a mount, but stops with an error of kind ErrMounted. A bind mount
// from the same file system has the same device number, so removeTree uses openat2(2) with RESOLVE_NO_XDEV, which detects it. It
// returns nil if path doesn't exist.
func removeTree(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	defer parent.Close()
	if err := removeAt(int(parent.Fd()), filepath.Base(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func removeAt(dirfd int, name string) error {
	err := unix.Unlinkat(dirfd, name, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY):
		return mounted(name, err)
	case !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM): // POSIX allows both errors for a directory
		return fmt.Errorf("%s: %w", name, err)
	}
	fd, err := unix.Openat2(dirfd, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = openSameDevice(dirfd, name) // before Linux 5.6, or under an old seccomp filter
	}
	if errors.Is(err, unix.EXDEV) {
		return mounted(name, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1024)
		for _, n := range names {
			if err := removeAt(fd, n); err != nil {
				return fmt.Errorf("%s/%w", name, err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		if errors.Is(err, unix.EBUSY) {
			return mounted(name, err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func openSameDevice(dirfd int, name string) (int, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var a, b unix.Stat_t
	if err := errors.Join(unix.Fstat(dirfd, &a), unix.Fstat(fd, &b)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if a.Dev != b.Dev {
		unix.Close(fd)
		return -1, unix.EXDEV
	}
	return fd, nil
}

// mountedBelow returns the mount points below root, so that folders with a mount can be left alone.
func mountedBelow(root string) (mountpoints, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return mountpoints{}, err
	}
	m := mountpoints{root: root, real: real}
	_, err = mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		if strings.HasPrefix(i.Mountpoint, real+"/") {
			m.at = append(m.at, i.Mountpoint)
		}
		return true, false
	})
	if err != nil {
		return m, fmt.Errorf("read mounts: %w", err)
	}
	return m, nil
}

// syncTree flushes the file system of dir. For a layer of thousands of files that is much faster than fsync(2) for each.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, noSpace(err))
	}
	return nil
}
