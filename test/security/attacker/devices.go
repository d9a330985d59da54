//go:build linux

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// devices tries to make devices and to open them, and reports the devices that exist.
func devices([]string) {
	for _, d := range []struct {
		name         string
		mode         uint32
		major, minor uint32
	}{
		{"disk", unix.S_IFBLK, 254, 0},
		{"sda", unix.S_IFBLK, 8, 0},
		{"loop", unix.S_IFBLK, 7, 0},
		{"mem", unix.S_IFCHR, 1, 1},
		{"kmsg", unix.S_IFCHR, 1, 11},
		{"tun", unix.S_IFCHR, 10, 200},
		{"fuse", unix.S_IFCHR, 10, 229},
		{"kvm", unix.S_IFCHR, 10, 232},
		{"null", unix.S_IFCHR, 1, 3},
	} {
		for _, dir := range []string{"/tmp", "/dev", "/dev/shm", os.Getenv("HOME"), "."} {
			path := filepath.Join(dir, "attack-"+d.name)
			err := unix.Mknod(path, d.mode|0o666, int(unix.Mkdev(d.major, d.minor)))
			report("mknod "+path, err)
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
			if err == nil {
				_ = unix.Close(fd)
			}
			report("open "+path, err)
		}
	}
	err := filepath.WalkDir("/dev", func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what can't be listed can't be opened either
		}
		// A device that is a mount is listed as a plain file in its directory.
		if info, err := os.Stat(p); err == nil && info.Mode()&os.ModeDevice != 0 && d.Type() != os.ModeSymlink {
			report("device "+p, nil)
		}
		return nil
	})
	report("walk", err)
	// These ioctls put bytes into the input of another process's terminal (ioctl_tty(2)).
	report("TIOCSTI", raw(unix.SYS_IOCTL, 0, unix.TIOCSTI, 0))
	report("TIOCLINUX", raw(unix.SYS_IOCTL, 0, unix.TIOCLINUX, 0))
}
