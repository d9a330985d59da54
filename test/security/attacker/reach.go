//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// holder tries to inspect process 1, which runs a program of the host.
func holder([]string) {
	for _, name := range []string{"exe", "mem", "environ", "maps", "auxv", "stack", "syscall", "root", "cwd", "fd", "map_files", "ns/mnt", "ns/pid", "personality"} {
		path := "/proc/1/" + name
		info, err := os.Lstat(path)
		switch {
		case err != nil:
			report("look at "+name, err)
		case info.Mode().Type() == os.ModeSymlink:
			_, err = os.Readlink(path)
			report("readlink "+name, err)
			_, err = os.Stat(path)
			report("follow "+name, err)
		case info.IsDir():
			// The owner may list the names in a directory, such as the numbers of descriptors, but not read where they lead.
			entries, err := os.ReadDir(path)
			for _, e := range entries {
				_, err = os.Readlink(path + "/" + e.Name())
				report("readlink "+name+"/"+e.Name(), err)
			}
			if len(entries) == 0 {
				report("list "+name, err)
			}
		default:
			_, err = os.ReadFile(path)
			report("read "+name, err)
		}
	}
	report("write exe", writable("/proc/1/exe"))
	report("write mem", writable("/proc/1/mem"))
	_, err := unix.PtraceGetEventMsg(1)
	report("ptrace", err)
	report("attach", unix.PtraceAttach(1))
	pidfd, err := unix.PidfdOpen(1, 0)
	if err == nil {
		_, err = unix.PidfdGetfd(pidfd, 0, 0)
	}
	report("pidfd_getfd", err)
}

// overwrite tries for a second to write to the program of every process that it sees. A program can't be written while it runs
// (ETXTBSY), so it also keeps descriptors and reopens the files through them later, as the attacks on container runtimes did
// (CVE-2019-5736).
func overwrite([]string) {
	tried := 0
	var kept []int
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		links, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, l := range links {
			if fd, err := unix.Open(l, unix.O_PATH, 0); err == nil && len(kept) < 500 {
				kept = append(kept, fd)
			}
			tried++
			if err := overwriteOne(l); err == nil {
				report("wrote "+l, nil)
			}
		}
	}
	for _, fd := range kept {
		if err := overwriteOne("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
			to, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			report("wrote "+to, nil)
		}
	}
	fmt.Printf("tried\t%d\n", tried)
}

func overwriteOne(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("#!/bin/sh\necho overwritten\n")
	return err
}

// connect tries to connect to sockets: connect NETWORK ADDRESS….
func connect(args []string) {
	for i := 0; i+1 < len(args); i += 2 {
		c, err := net.DialTimeout(args[i], args[i+1], 2*time.Second)
		if err == nil {
			_, err = io.WriteString(c, "attack")
			_ = c.Close()
		}
		report("connect "+args[i+1], err)
	}
}

// kill sends SIGKILL to each process, given by its number.
func kill(args []string) {
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err != nil {
			report("kill "+a, err)
			continue
		}
		report("kill "+a, unix.Kill(pid, unix.SIGKILL))
	}
}
