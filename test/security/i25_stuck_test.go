//go:build linux

package security

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI25_CtrlCDuringAStart interrupts a run whose shim or whose registry doesn't answer. It must end soon, as cancelled, and
// leave nothing. With -it the terminal belongs to mayfly until the tool runs, so that Ctrl-C is a signal there too. The tests of
// internal/oci check the deadlines of starts and ends, and processes that can't be killed.
func TestI25_CtrlCDuringAStart(t *testing.T) {
	c := newCLI(t)
	programs := t.TempDir()
	testbed.OwnPrograms(programs)
	mayfly, err := os.ReadFile(filepath.Join(testbed.Bin(t), "mayfly"))
	if err != nil {
		t.Fatal(err)
	}
	started := filepath.Join(programs, "started")
	for name, content := range map[string]string{
		"mayfly":      string(mayfly),
		"mayfly-shim": "#!/bin/sh\n: > " + started + "\nexec sleep 300\n",
	} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	registry, asked := silentRegistry(t)
	shim := func(<-chan struct{}) error {
		for end := time.Now().Add(testbed.Patience); os.Remove(started) != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("the shim doesn't start")
			}
		}
		return nil
	}
	pull := func(ended <-chan struct{}) error {
		select {
		case <-asked:
			return nil
		case <-ended:
			return errors.New("it asks no registry")
		}
	}
	never := c.tool("never", "command: echo never\n")
	for _, k := range []struct {
		name     string
		args     []string
		terminal bool
		reached  func(ended <-chan struct{}) error
	}{
		{"shim", []string{"run", never}, false, shim},
		{"shim, terminal", []string{"run", "-it", never}, true, shim},
		{"registry", []string{"run", "--image", registry + "/never"}, false, pull},
		{"registry, terminal", []string{"run", "-it", "--image", registry + "/never"}, true, pull},
	} {
		t.Run(k.name, func(t *testing.T) {
			cmd := c.command(k.args...)
			cmd.Path, cmd.Args[0] = filepath.Join(programs, "mayfly"), filepath.Join(programs, "mayfly")
			said := newOutput()
			cmd.Stdout, cmd.Stderr = said, said
			interrupt := func() error { return cmd.Process.Signal(syscall.SIGINT) }
			if k.terminal {
				keyboard := onTerminal(t, cmd)
				interrupt = func() error {
					_, err := keyboard.WriteString("\x03")
					return err
				}
			}
			interrupted(t, cmd, said, k.reached, interrupt)
		})
	}
}

// interrupted starts a run, waits until it has reached a point, interrupts it, and checks its end.
func interrupted(t *testing.T, cmd *exec.Cmd, said *output, reached func(ended <-chan struct{}) error, interrupt func() error) {
	t.Helper()
	before, err := testbed.Leftovers()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails if it has ended
		<-ended
	})
	if err := reached(ended); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := interrupt(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(testbed.Patience):
		t.Fatalf("it doesn't end: %s", said)
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("exit status %d: %s", code, said)
	}
	left, err := testbed.Leftovers()
	if err != nil {
		t.Error(err)
	}
	maps.DeleteFunc(left, func(what string, _ bool) bool { return before[what] })
	if len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// silentRegistry accepts connections and never answers. asked gets each connection.
func silentRegistry(t *testing.T) (address string, asked <-chan net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	return listener.Addr().String(), conns
}

// onTerminal gives a command a new terminal as its standard input (pty(7)), and returns the side of the keyboard.
func onTerminal(t *testing.T, cmd *exec.Cmd) (keyboard *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = terminal.Close()
		_ = keyboard.Close()
	})
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	return keyboard
}
