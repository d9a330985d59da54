//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hostWideAs has a process of each of the users take what hostWide does, and holds all of it until its input ends.
func hostWideAs(users []string) {
	var held []*exec.Cmd
	var ends []io.Closer
	for _, user := range users {
		id, err := strconv.ParseUint(user, 10, 32)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		cmd := exec.Command("/proc/self/exe", "hostwide", "hold")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
		end, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		held, ends = append(held, cmd), append(ends, end)
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "held" {
			fmt.Printf("%s of %s\n", lines.Text(), user)
		}
	}
	fmt.Println("all held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for i, cmd := range held {
		_ = ends[i].Close()
		_ = cmd.Wait()
	}
}

// hostWide takes what the kernel counts for a user or for the whole host, as
// much as there is, and holds it until the end.
func hostWide(args []string) {
	instances := 0
	for {
		fd, err := unix.InotifyInit1(0)
		if err != nil {
			break
		}
		if instances++; instances == 1 {
			_, err = unix.InotifyAddWatch(fd, "/tmp", unix.IN_CREATE)
			report("watch", err)
		}
	}
	terminals := 0
	for ; ; terminals++ {
		if _, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			break
		}
	}
	// Each timer has a queued signal of its own. A signal on its way to a thread,
	// as Go's runtime sends them to itself, takes one of them for a moment: only
	// a limit that is reached again and again is the end.
	timers := 0
	for refused := 0; timers < 5000 && refused < 100; {
		var id int32
		if raw(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&id))) == nil {
			timers, refused = timers+1, 0
			continue
		}
		refused++
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("inotify\t%d\nterminals\t%d\ntimers\t%d\n", instances, terminals, timers)
	if len(args) > 0 {
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}
