//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// descriptors prints those that this process was given: fcntl(2) instead of a
// directory of /proc, because reading that opens some.
func descriptors([]string) {
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			to = err.Error()
		}
		fmt.Printf("%d\t%s\n", fd, to)
	}
}

// status prints what the kernel says of this process's privileges.
func status([]string) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		report("status", err)
		return
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			fmt.Printf("%s\t%s\n", key, strings.Join(strings.Fields(value), " "))
		}
	}
}

// tryFiles reads, writes and unmounts each path.
func tryFiles(paths []string) {
	for _, p := range paths {
		report("read "+p, readable(p))
		report("write "+p, writable(p))
		report("umount "+p, unix.Unmount(p, unix.MNT_DETACH))
	}
}

// errEmpty says that there is nothing to see: a masked file is /dev/null, a
// masked directory an empty file system (OCI runtime specification, maskedPaths).
type errEmpty struct{}

func (errEmpty) Error() string { return "empty" }

func readable(p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(p)
		if err == nil && len(entries) == 0 {
			return errEmpty{}
		}
		return err
	}
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, make([]byte, 4096))
	if err == nil && n == 0 {
		return errEmpty{}
	}
	return err
}

// writable opens for writing, and in a directory makes a file. It writes
// nothing: on the host, some of these files would do what they are for.
func writable(p string) error {
	if info, err := os.Stat(p); err == nil && info.IsDir() {
		f, err := os.Create(p + "/attack")
		if err != nil {
			return err
		}
		return f.Close()
	}
	fd, err := unix.Open(p, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
