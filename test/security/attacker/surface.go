//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// surface makes system calls with invalid arguments (-1), and prints their outcomes. Calls that may end or block the process
// are made in a child. Its arguments are the numbers of system calls, or "setsockopt LEVEL…", "getsockopt", "prctl", "ioctl" or
// "fcntl" for all options of that call.
func surface(args []string) {
	runtime.LockOSThread()
	switch args[0] {
	case "setsockopt":
		for _, level := range args[1:] {
			l, _ := strconv.Atoi(level)
			for option := range uintptr(128) {
				report(fmt.Sprintf("%s %d", level, option), inChild(unix.SYS_SETSOCKOPT, bad, uintptr(l), option, bad, bad))
			}
		}
	case "prctl":
		for option := range uintptr(128) {
			report(strconv.Itoa(int(option)), inChild(unix.SYS_PRCTL, option, bad, bad, bad, bad))
		}
	case "ioctl", "fcntl":
		nr, most := uintptr(unix.SYS_IOCTL), uintptr(0xffff)
		if args[0] == "fcntl" {
			nr, most = unix.SYS_FCNTL, 1151
		}
		for request := range most + 1 {
			report(strconv.Itoa(int(request)), raw(nr, bad, request, bad))
		}
	case "getsockopt":
		for level := range uintptr(512) {
			for option := range uintptr(128) {
				report(fmt.Sprintf("%d %d", level, option), raw(unix.SYS_GETSOCKOPT, bad, level, option, bad, bad))
			}
		}
	default:
		for _, number := range args {
			n, _ := strconv.Atoi(number)
			report(number, inChild(uintptr(n), bad, bad, bad, bad, bad, bad))
		}
	}
}

// childTime is how long a call may take. Some calls wait.
const childTime = time.Second

// inChild makes a system call in a child process and returns its error. The child has one thread and makes only this call and
// exit_group.
func inChild(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("clone: %w", errno)
	}
	if pid == 0 {
		_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
		}
	}
	var status unix.WaitStatus
	for end := time.Now().Add(childTime); ; time.Sleep(50 * time.Microsecond) {
		got, err := unix.Wait4(int(pid), &status, unix.WNOHANG, nil)
		if err != nil {
			return err
		}
		if got != 0 {
			break
		}
		if time.Now().After(end) {
			_ = unix.Kill(int(pid), unix.SIGKILL)
			_, err = unix.Wait4(int(pid), &status, 0, nil)
			if err != nil {
				return err
			}
			break
		}
	}
	if status.Exited() {
		return unix.Errno(status.ExitStatus())
	}
	return nil // ended by a signal: the call was made
}

// files opens each file below the roots, except those of processes, for reading and for writing, and prints the outcomes.
func files(roots []string) {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && isProcess(path) {
				return fs.SkipDir
			}
			if err == nil && (entry.Type().IsRegular() || entry.Type()&fs.ModeCharDevice != 0) {
				tryFile(path)
			}
			return nil // a file that can't be listed can't be seen
		})
		if err != nil {
			report("walk "+root, err)
		}
	}
}

func isProcess(path string) bool {
	name, ok := strings.CutPrefix(path, "/proc/")
	return ok && name != "" && strings.Trim(name, "0123456789") == ""
}

func tryFile(path string) {
	if f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		_ = f.Close()
		if !masked(path) {
			report("write "+path, nil)
		}
	}
	if strings.HasPrefix(path, "/proc/") && strings.Count(path, "/") <= 4 {
		report("read "+path, readSome(path))
	}
}

// masked reports whether a file is /dev/null.
func masked(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

type empty struct{}

func (empty) Error() string { return "empty" }

func readSome(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := f.Read(make([]byte, 64)); n == 0 {
		if err != nil && !strings.Contains(err.Error(), "EOF") {
			return err
		}
		return empty{}
	}
	return nil
}
