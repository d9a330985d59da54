//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// descriptors prints the descriptors that this process inherited. It uses fcntl(2), since reading a directory of /proc opens
// another one.
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

// status prints what the kernel says about this process's privileges.
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

// tryFiles tries to read, write and unmount each path.
func tryFiles(paths []string) {
	for _, p := range paths {
		report("read "+p, readable(p))
		report("write "+p, writable(p))
		report("umount "+p, unix.Unmount(p, unix.MNT_DETACH))
	}
}

// errEmpty says that a file or directory is empty: a masked file is /dev/null, and a masked directory an empty file system (OCI
// runtime specification, maskedPaths).
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

// writable opens a file for writing, or makes a file in a directory. It writes nothing: if the attack succeeded, writing to
// some of these files would change the host.
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
