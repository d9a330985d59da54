package tooltest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// execute runs mayfly, and has the kernel interrupt it when this program dies, as go test -timeout lets it.
func execute(cmd *exec.Cmd) error {
	// The signal comes when the thread ends that has started the program (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	return cmd.Run()
}
