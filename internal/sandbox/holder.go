package sandbox

// The holder is in holder.c; cgo compiles it into every program that imports
// this package.

import "C"

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// holder is the process that owns a sandbox's user, network and pid
// namespaces (see holder.c).
type holder struct {
	cmd   *exec.Cmd
	leash *os.File // closing it ends the holder too
}

// startHolder makes the namespaces. The calling goroutine must be locked to a
// thread that lives as long as the shim, because the holder's parent-death
// signal is tied to the thread that forked it (prctl(2)).
func startHolder(firstID, idCount int) (*holder, error) {
	leashRead, leashWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer leashRead.Close()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		leashWrite.Close()
		return nil, err
	}
	defer readyRead.Close()

	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: firstID, Size: idCount}}
	cmd := &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   []string{"mayfly-init"},
		Env:    []string{},
		Dir:    "/",
		Stdin:  leashRead,
		Stdout: readyWrite,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
			UidMappings:                ids,
			GidMappings:                ids,
			GidMappingsEnableSetgroups: true,
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
			Setsid:                     true,
			Pdeathsig:                  unix.SIGKILL,
		},
	}
	err = cmd.Start()
	readyWrite.Close()
	if err != nil {
		leashWrite.Close()
		return nil, fmt.Errorf("make the sandbox's namespaces: %w", err)
	}
	h := &holder{cmd: cmd, leash: leashWrite}
	if _, err := io.ReadFull(readyRead, make([]byte, 1)); err != nil {
		h.kill()
		h.reap()
		return nil, fmt.Errorf("make the sandbox's namespaces: the first process ended at once: %w", err)
	}
	return h, nil
}

// namespace is the path of one of the holder's namespaces ("user", "net", "pid").
func (h *holder) namespace(kind string) string {
	return "/proc/" + strconv.Itoa(h.cmd.Process.Pid) + "/ns/" + kind
}

// kill ends every process of the sandbox; reap waits until they are gone.
func (h *holder) kill() {
	_ = h.cmd.Process.Kill() // fails only when it is gone already
}

// reap waits for the end of the holder, which comes after that of every other
// process of its namespace: also of the container's, whose parent is this
// process, and which therefore has to be waited for elsewhere, or both wait
// for ever (pid_namespaces(7)).
func (h *holder) reap() {
	if h.cmd.ProcessState != nil {
		return
	}
	_ = h.cmd.Wait() // "signal: killed" is what was wanted
	_ = h.leash.Close()
}
