//go:build linux

package security

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestI13_HostWideLimitsAreLeft takes as many inotify instances, queued signals of timers and terminals as it gets. The first
// two count towards a limit of the user that made the sandbox, and terminals towards one of the host. All must end long before
// the host's own limit.
func TestI13_HostWideLimitsAreLeft(t *testing.T) {
	b := newBox(t)
	if b.engine.OwnKernel { // its limits are its own: check that the host keeps what it has
		b.holdHostWideLimits(b.shell("attacker hostwide hold"))
		return
	}
	r := b.run(b.shell("attacker hostwide"), nil)
	got := r.lines()
	for what, want := range map[string]string{"watch": "done", "inotify": "32", "terminals": "64", "timers": "1024"} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q; %+v", what, got[what], want, r)
		}
	}
}

// TestI13_HostWideLimitsOfManyUsers does the same as several users of a sandbox, which a tool with SETUID can become. The
// host's root must keep most of what it had left.
func TestI13_HostWideLimitsOfManyUsers(t *testing.T) {
	b := newBox(t)
	spec := b.shell("attacker hostwideas 2 3 4 5")
	spec.User, spec.Security.Capabilities = "0:0", nil
	for _, name := range tool.RootCapabilities {
		spec.Security.Capabilities = append(spec.Security.Capabilities, "CAP_"+name)
	}
	timers := b.holdHostWideLimits(spec)
	if !b.engine.OwnKernel && (timers < 1000 || timers > 1024) {
		t.Errorf("its users have %d queued signals together, want 1024", timers)
	}
}

// holdHostWideLimits runs the attacker, checks what the host's root has left of both while the attacker holds them, and returns the
// number of queued signals of the attacker's users.
func (b *box) holdHostWideLimits(spec *engine.Spec) (timers int) {
	t := b.t
	t.Helper()
	const others = 40 // what other processes of this host may take meanwhile
	if free := freeInstances(t, 2*others); free < 2*others {
		t.Fatalf("root has only %d inotify instances left; end what holds them", free)
	}
	signals := queuedSignals(t)
	stdin, end := io.Pipe()
	l, err := b.start(spec, nil, stdin)
	if err != nil {
		t.Fatal(err)
	}
	defer l.sandbox.Close()
	l.stdout.until(t, "held\n")
	if now := queuedSignals(t); now > signals+others {
		t.Errorf("root has %d queued signals, and had %d before; the run said %s", now, signals, l.stdout)
	}
	if now := freeInstances(t, others); now < others {
		t.Errorf("root can make only %d inotify instances more, and could make %d before", now, 2*others)
	}
	for line := range strings.Lines(l.stdout.String()) {
		if rest, is := strings.CutPrefix(line, "timers\t"); is {
			count, _, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(strings.TrimSpace(count))
			if err != nil {
				t.Error(err)
			}
			timers += n
		}
	}
	_ = end.Close() // never fails
	if r, err := l.wait(); err != nil || r.Code != 0 {
		t.Errorf("%+v %v", r, err)
	}
	return timers
}

// queuedSignals returns the number of queued signals of this process's user, root, on the whole host (proc_pid_status(5)).
func queuedSignals(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigQ:")
	count, _, _ := strings.Cut(strings.TrimSpace(rest), "/")
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// freeInstances returns how many inotify instances root can still make, counted up to most.
func freeInstances(t *testing.T, most int) int {
	t.Helper()
	var made []int
	defer func() {
		for _, fd := range made {
			_ = unix.Close(fd)
		}
	}()
	for len(made) < most {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			break
		}
		made = append(made, fd)
	}
	return len(made)
}
