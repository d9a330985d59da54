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

// hostWideAs starts a process of each user that does what hostWide does. All of them hold it until the input of this process
// ends.
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

// hostWide takes as much as it can of what the kernel counts per user or for the whole host. With an argument, it holds that
// until its input ends.
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
	// Each timer has its own queued signal. A signal that is on its way to a thread, such as those that Go's runtime sends to
	// itself, also takes one for a moment. So the limit is reached only if creating a timer fails many times.
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
