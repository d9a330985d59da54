//go:build linux

package main

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hostWide takes what the kernel counts for a user or for the whole host, as
// much as there is, and holds it until the end.
func hostWide([]string) {
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
}
