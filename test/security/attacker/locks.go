//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lockParts locks parts of files and waits: lockParts COUNT PROCESSES [end]. The processes share the count. With the third
// argument it waits until the run is ended.
func lockParts(args []string) {
	const each = 1000 // locks per file, since the kernel searches all locks of a file for each new one
	count, _ := strconv.Atoi(args[0])
	processes, _ := strconv.Atoi(args[1])
	for range processes - 1 {
		c := exec.Command("/proc/self/exe", append([]string{"locks", strconv.Itoa(count / processes), "1"}, args[2:]...)...)
		c.Stdout = os.Stdout
		if err := c.Start(); err != nil {
			report("start", err)
			return
		}
	}
	count /= processes
	var file *os.File
	for made := range count {
		if made%each == 0 {
			var err error
			if file, err = os.CreateTemp("", "locked"); err != nil {
				report("file", err)
				return
			}
			defer runtime.KeepAlive(file)
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(each-made%each) * 2, Len: 1}
		if err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, &lock); err != nil {
			report("lock", err)
			return
		}
	}
	if len(args) > 2 {
		time.Sleep(time.Minute) // the run must end meanwhile
	}
	time.Sleep(2 * time.Second) // time for the shim to count the locks, in case there are too many
	fmt.Println("locked\tdone")
}

// lockKinds tries each kind of lock, and to share descriptors with another process. Locks of open file descriptions (OFD) name
// no process, and locks in a shared descriptor table outlive the process that made them.
func lockKinds([]string) {
	file, err := os.CreateTemp("", "locked")
	if err != nil {
		report("file", err)
		return
	}
	for name, command := range map[string]int{"F_OFD_GETLK": unix.F_OFD_GETLK, "F_OFD_SETLK": unix.F_OFD_SETLK, "F_OFD_SETLKW": unix.F_OFD_SETLKW, "F_SETLK": unix.F_SETLK, "F_SETLKW": unix.F_SETLKW, "F_GETLK": unix.F_GETLK} {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
		report(name, unix.FcntlFlock(file.Fd(), command, &lock))
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	report("F_OFD_SETLK beyond 32 bits", raw(unix.SYS_FCNTL, file.Fd(), unix.F_OFD_SETLK|1<<32, uintptr(unsafe.Pointer(&lock))))
	report("a process with shared descriptors", fork(unix.SYS_CLONE, unix.CLONE_FILES|uintptr(unix.SIGCHLD)))
}
