//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// changes reads all files below the folders twice, the second time after it has read a line of its input, and reports the
// files whose content has changed.
func changes(roots []string) {
	seed := maphash.MakeSeed()
	before := contents(seed, roots)
	fmt.Printf("files\t%d\nready\tdone\n", len(before))
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	for path, sum := range contents(seed, roots) {
		if before[path] != sum {
			fmt.Printf("%s\tchanged\n", path)
		}
	}
}

// contents returns a hash of the first 64 KiB of each file, by its path.
func contents(seed maphash.Seed, roots []string) map[string]uint64 {
	sums := map[string]uint64{}
	buf := make([]byte, 64<<10)
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && isProcess(path) {
				return fs.SkipDir
			}
			if err != nil || !entry.Type().IsRegular() {
				return nil
			}
			f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return nil
			}
			defer f.Close()
			n, _ := io.ReadFull(f, buf)
			sums[path] = maphash.Bytes(seed, buf[:n])
			return nil
		})
	}
	return sums
}

// stir makes and releases things that the kernel may count where everyone can see it, again and again until its input ends.
func stir([]string) {
	fmt.Println("stirring\tdone")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		var fds []int
		keep := func(fd int, err error) {
			if err == nil {
				fds = append(fds, fd)
			}
		}
		for i := range 20 {
			keep(unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0))
			keep(unix.InotifyInit1(0))
			keep(unix.EpollCreate1(0))
			keep(unix.Eventfd(0, 0))
			keep(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, 0))
			keep(unix.MemfdCreate("stir", 0))
			keep(unix.Open("/tmp", unix.O_TMPFILE|unix.O_RDWR, 0o600))
			for _, family := range []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
				keep(unix.Socket(family, unix.SOCK_STREAM, 0))
				keep(unix.Socket(family, unix.SOCK_DGRAM, 0))
			}
			_, _ = os.Stat(fmt.Sprint("/tmp/nothing", i, time.Now())) // the kernel caches names that don't exist too
			if id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, 0o600|unix.IPC_CREAT); err == nil {
				_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
			}
		}
		if len(fds) > 0 {
			lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
			_ = unix.FcntlFlock(uintptr(fds[5]), unix.F_SETLK, &lock)
		}
		_ = exec.Command("/proc/self/exe", "nothing").Run()
		big := bytes.Repeat([]byte{1}, 16<<20)
		_ = os.WriteFile("/tmp/stir", big, 0o600)
		time.Sleep(20 * time.Millisecond)
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		_ = os.Remove("/tmp/stir")
	}
}
