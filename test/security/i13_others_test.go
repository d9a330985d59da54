//go:build linux

package security

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestI13_HostsSocketsAreUnreachable listens on the host and tries to connect from the sandbox, with abstract unix sockets, unix
// sockets with a path, and TCP on the loopback.
func TestI13_HostsSocketsAreUnreachable(t *testing.T) {
	b := newBox(t)
	abstract, path := "@mayfly-attack-"+strconv.Itoa(os.Getpid()), filepath.Join(b.canary.dir, "socket")
	var accepted []string
	for _, l := range [][2]string{{"unix", abstract}, {"unix", path}, {"tcp", "127.0.0.1:0"}} {
		listener, err := net.Listen(l[0], l[1])
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if l[0] == "tcp" {
			accepted = append(accepted, "tcp", listener.Addr().String())
		} else {
			accepted = append(accepted, l[0], l[1])
		}
		go func() {
			if c, err := listener.Accept(); err == nil {
				t.Errorf("%v got a connection from the sandbox", l)
				_ = c.Close()
			}
		}()
	}
	got := b.attack(append([]string{"connect"}, accepted...)...)
	for what, outcome := range got {
		if outcome != "ECONNREFUSED" && outcome != "ENOENT" {
			t.Errorf("%s: %s", what, outcome)
		}
	}
	if len(got) != 3 {
		t.Errorf("it tried only %v", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestI13_HostsProcessesAreInvisible tries to list the host's processes, and to kill them by their numbers.
func TestI13_HostsProcessesAreInvisible(t *testing.T) {
	b := newBox(t)
	victim := exec.Command("sleep", "300")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	pid := strconv.Itoa(victim.Process.Pid)
	if o := b.attack("kill", pid)["kill "+pid]; o != "ESRCH" {
		t.Errorf("kill of a host's process: %s", o)
	}
	if err := victim.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the host's process: %v", err)
	}
	r := b.run(b.shell("ls -d /proc/[0-9]* | wc -l; cat /proc/*/cmdline | tr '\\0' ' '; readlink /proc/*/exe /proc/*/cwd /proc/*/root"), nil)
	count, rest, _ := strings.Cut(r.stdout, "\n")
	if n, err := strconv.Atoi(strings.TrimSpace(count)); err != nil || n > 5 || strings.Contains(rest, "sleep 300") || strings.Contains(rest, "mayfly-shim") {
		t.Errorf("it sees %s", r.stdout)
	}
	if !b.engine.OwnKernel {
		b.processOneGetsNoSignal()
	}
	// Killing everything that it can kill must end neither process 1 nor another run.
	neighbour := b.mustStart(b.shell("echo ready; sleep 300"))
	neighbour.stdout.until(t, "ready")
	r = b.run(b.shell("trap '' TERM; attacker kill 1 -1 & sleep 1; echo alive"), nil)
	if !strings.Contains(r.stdout, "alive") && r.Code != engine.ExitSignal(engine.SIGKILL) && r.Signal != engine.SIGKILL {
		t.Errorf("%+v", r)
	}
	if len(pidsOf(t, neighbour.id)) == 0 {
		t.Error("the neighbour is gone")
	}
	if err := neighbour.close(); err != nil {
		t.Error(err)
	}
}

// processOneGetsNoSignal checks that process 1, the holder, gets no signal at all if the kernel supports it. (In a sandbox with a
// kernel of its own, process 1 is the tool.)
func (b *box) processOneGetsNoSignal() {
	b.t.Helper()
	want := []string{"done"}
	appArmor, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	switch {
	case landlockVersion() >= 6 && string(appArmor) == "Y\n": // whichever is asked first
		want = []string{"EPERM", "EACCES"}
	case landlockVersion() >= 6:
		want = []string{"EPERM"}
	case string(appArmor) == "Y\n":
		want = []string{"EACCES"}
	}
	if o := b.attack("kill", "1")["kill 1"]; !slices.Contains(want, o) {
		b.t.Errorf("a signal to process 1: %s, want %s", o, want)
	}
}

// TestI13_OtherRunsAreUnreachable starts a run with files, a socket, shared memory and a secret, and searches for them from
// another run.
func TestI13_OtherRunsAreUnreachable(t *testing.T) {
	b := newBox(t)
	first := b.shell(`for d in /tmp /dev/shm "$HOME" .; do echo FIRSTRUN > $d/first; done
		nc -lk -s 127.0.0.1 -p 4444 -e cat & sleep 0.3; echo ready; sleep 300`)
	first.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/secrets/token", Secret: "token"}}
	l, err := b.start(first, engine.Secrets{"token": []byte("FIRSTRUN")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.sandbox.Close()
	l.stdout.until(t, "ready")
	script := `ls -R /tmp /dev/shm "$HOME" . /run /secrets; cat /proc/sysvipc/shm | wc -l; cat /proc/net/unix /proc/net/tcp | wc -l
		grep -rs FIRSTRUN /tmp /dev/shm /root /run /secrets /workspace /proc/*/environ /proc/*/root/tmp; hostname`
	r := b.run(b.shell(script), nil)
	if strings.Contains(r.stdout, "first") || strings.Contains(r.stdout, "FIRSTRUN") {
		t.Errorf("it sees the other run: %s", r.stdout)
	}
	if o := b.attack("connect", "tcp", "127.0.0.1:4444")["connect 127.0.0.1:4444"]; o != "ECONNREFUSED" {
		t.Errorf("the other run's port: %s", o)
	}
	// The paths on the host, which an attacker may know.
	var paths []string
	for _, pid := range pidsOf(t, l.id) {
		paths = append(paths, fmt.Sprintf("/proc/%d/root/secrets/token", pid), fmt.Sprintf("/proc/%d/environ", pid))
	}
	paths = append(paths, "/run/mayfly/runs/"+l.id+"/root/secrets/0", "/run/mayfly/runs/"+l.id+"/lock", "/run/mayfly/ids")
	for what, outcome := range b.attack(append([]string{"try"}, paths...)...) {
		if outcome != "ENOENT" && !strings.HasPrefix(what, "umount") {
			t.Errorf("%s: %s", what, outcome)
		}
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

// landlockVersion returns the version of Landlock in the kernel, or 0.
func landlockVersion() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}
