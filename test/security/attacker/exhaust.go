//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forkBomb makes processes until no more can be made, and goes on trying. Each process does the same, in its own session.
func forkBomb([]string) {
	fmt.Println("bomb")
	for {
		c := exec.Command("/proc/self/exe", "forkbomb")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if c.Start() != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

const chunk = 1 << 20

// heap allocates memory without end.
func heap([]string) {
	var kept [][]byte
	for {
		b := make([]byte, chunk)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
		if len(kept) > 1<<20 {
			return
		}
	}
}

// sharedMemory takes memory as System V segments, which stay without any process that maps them (shmget(2)).
func sharedMemory([]string) {
	for range 1 << 16 {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, chunk, 0o600|unix.IPC_CREAT)
		if err != nil {
			report("shmget", err)
			return
		}
		b, err := unix.SysvShmAttach(id, 0, 0)
		if err != nil {
			report("shmat", err)
			return
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		_ = unix.SysvShmDetach(b)
	}
}

// fill writes to a file in each directory until writing fails, and prints how much it wrote and why it ended.
func fill(dirs []string) {
	block := make([]byte, chunk)
	for i := range block {
		block[i] = byte(i) | 1
	}
	for _, dir := range dirs {
		f, err := os.Create(filepath.Join(dir, "filler"))
		total := 0
		for err == nil && total < 1<<34 {
			var n int
			n, err = f.Write(block)
			total += n
		}
		fmt.Printf("bytes %s\t%d\n", dir, total)
		report("fill "+dir, err)
	}
}

// inodes makes directories in each directory until that fails.
func inodes(dirs []string) {
	for _, dir := range dirs {
		var err error
		made := 0
		for err == nil && made < 1<<20 {
			err = unix.Mkdir(filepath.Join(dir, "i"+strconv.Itoa(made)), 0o700)
			made++
		}
		fmt.Printf("made %s\t%d\n", dir, made)
		report("inodes "+dir, err)
	}
}
