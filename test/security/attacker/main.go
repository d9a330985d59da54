//go:build linux

// Command attacker is the program that the security tests run inside a sandbox. Each subcommand is one attack. It prints a
// line for each attempt: its name, a tab, and the outcome, which is "done" or the name of the error.
//
// With containermaxprocs, Go's runtime would keep two files of the cgroup open.
//
//go:debug containermaxprocs=0
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attacks has the attacks by their names. Each gets the rest of the command line.
var attacks = map[string]func([]string){
	"fds":        descriptors,
	"status":     status,
	"try":        tryFiles,
	"mounts":     mounts,
	"namespaces": namespaces,
	"devices":    devices,
	"marks":      marks,
	"syscalls":   syscalls,
	"sockets":    sockets,
	"int80":      func([]string) { foreign(int80) },
	"x32":        func([]string) { foreign(x32) },
	"holder":     holder,
	"overwrite":  overwrite,
	"connect":    connect,
	"kill":       kill,
	"forkbomb":   forkBomb,
	"heap":       heap,
	"sysv":       sharedMemory,
	"fill":       fill,
	"inodes":     inodes,
	"stubborn":   stubborn,
	"crash":      crash,
	"crashed":    crashed,
	"hostwide":   hostWide,
	"hostwideas": hostWideAs,
	"filters":    filters,
	"hold":       holdSockets,
	"queues":     queues,
	"abandon":    abandonConnections,
	"locks":      lockParts,
	"lock-kinds": lockKinds,
	"changes":    changes,
	"stir":       stir,
	"nothing":    func([]string) {},
	"cork":       cork,
	"surface":    surface,
	"files":      files,
}

func main() {
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		var names []string
		for name := range attacks {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "attacker: one of", strings.Join(names, " "))
		os.Exit(2)
	}
	attacks[os.Args[1]](os.Args[2:])
}

// report prints the outcome of one attempt.
func report(name string, err error) {
	fmt.Printf("%s\t%s\n", name, outcome(err))
}

func outcome(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil || errors.As(err, &errno) && errno == 0:
		return "done"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}

// raw makes one system call, and returns its error.
func raw(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}
