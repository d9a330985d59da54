//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn resists its end, in the way that its argument names.
func stubborn(args []string) {
	how := args[0]
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	again := func(next string) *exec.Cmd {
		c := exec.Command("/proc/self/exe", "stubborn", next)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		c.Stdout, c.Stderr = os.Stdout, os.Stderr // to keep the pipes open too
		return c
	}
	var err error
	switch how {
	case "ignore":
	case "setsid":
		err = again("ignore").Start()
	case "double": // the process between ends, so the last one becomes a child of process 1
		err = again("middle").Run()
	case "middle":
		if err = again("ignore").Start(); err == nil {
			return
		}
	case "stopped":
		fmt.Println("ready")
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "orphans": // the first process ends, and its children don't
		for range 5 {
			err = again("ignore").Start()
		}
		time.Sleep(50 * time.Millisecond)
		fmt.Println("ready")
		if err == nil {
			return
		}
	case "breeding": // there is always a new process
		fmt.Println("ready")
		for {
			_ = exec.Command("/proc/self/exe", "stubborn", "middle").Start()
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err != nil {
		report("start", err)
	}
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

// crash ends by a signal, SEGV or ABRT, with a secret in its memory.
func crash(args []string) {
	secret, err := os.ReadFile("/secrets/canary")
	if err != nil {
		report("read", err)
	}
	kept := bytes.Repeat(secret, 100)
	sig := unix.SIGSEGV
	if args[0] == "ABRT" {
		sig = unix.SIGABRT
	}
	// The Go runtime handles these signals itself. Only the default action dumps core (signal(7)).
	var dfl [4]uint64
	_ = sigaction(sig, &dfl)
	_ = unix.Kill(os.Getpid(), sig)
	time.Sleep(time.Second)
	fmt.Println(len(kept))
}

// crashed crashes a child and prints whether the kernel dumped core.
func crashed(args []string) {
	c := exec.Command("/proc/self/exe", "crash", args[0])
	_ = c.Run()
	status, _ := c.ProcessState.Sys().(syscall.WaitStatus)
	fmt.Printf("signal\t%d\ncore\t%v\n", status.Signal(), status.CoreDump())
}
