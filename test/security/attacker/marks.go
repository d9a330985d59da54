//go:build linux

package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// marks prints the inodes of the devices, watches each with inotify, and locks each. When its input ends, it prints how many
// bytes of events it has received, and whether it receives an event when it opens a device itself.
func marks([]string) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := "/dev/" + name
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			report("inode "+name, err)
			continue
		}
		fmt.Printf("inode %s\t%d:%d\n", name, st.Dev, st.Ino)
		if name != "tty" { // /dev/tty can't be opened without a terminal
			device, err := unix.Open(path, unix.O_RDONLY, 0)
			if err == nil {
				err = unix.Flock(device, unix.LOCK_EX|unix.LOCK_NB)
			}
			report("lock "+name, err)
		}
		_, err := unix.InotifyAddWatch(fd, path, unix.IN_ALL_EVENTS)
		report("mark "+name, err)
	}
	fmt.Println("marked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Printf("seen\t%d\n", eventBytes(fd))
	if _, err := os.Open("/dev/full"); err != nil {
		report("open", err)
	}
	fmt.Printf("own seen\t%t\n", eventBytes(fd) > 0)
}

// eventBytes reads all waiting events, and returns their size in bytes.
func eventBytes(fd int) int {
	sum, buf := 0, make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return sum
		}
		sum += n
	}
}
