package tooltest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// execute runs mayfly. The kernel interrupts mayfly when this program dies, for example after go test -timeout.
func execute(cmd *exec.Cmd) error {
	// The kernel sends the signal when the thread that started the program ends (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	return cmd.Run()
}
