//go:build linux

package security

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// gvisor is a spec under Debian's runsc, which test/setup.sh installs.
func (b *box) gvisor(script string) *engine.Spec {
	b.t.Helper()
	if _, err := exec.LookPath("runsc"); err != nil {
		b.t.Fatalf("%v: run test/setup.sh", err)
	}
	spec := b.shell(script)
	spec.Security.Runtime = "gvisor"
	spec.Resources.PIDs = 256 // gVisor's own threads count
	return spec
}

// TestI06_GVisor runs tools under gVisor: its kernel answers, and what the
// profile promises holds.
func TestI06_GVisor(t *testing.T) {
	b := newBox(t)
	t.Run("kernel and streams", func(t *testing.T) {
		spec := b.gvisor("uname -r; dmesg | head -1; cat /secrets/token; echo; echo A=b > $MAYFLY_OUTPUT; id -u; cat " + b.canary.path + "; exit 42")
		spec.MaxOutputBytes, spec.User = 100, "1000:1000"
		spec.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/secrets/token", Secret: "token"}}
		r := b.run(spec, engine.Secrets{"token": []byte("gv-secret")})
		if !strings.HasPrefix(r.stdout, "4.4.0\n") || !strings.Contains(r.stdout, "gv-secret\n1000\n") || r.Code != 42 || string(r.Output) != "A=b\n" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("privileges", func(t *testing.T) {
		got := b.run(b.gvisor("attacker status"), nil).lines()
		for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd"} {
			if strings.Trim(got[key], "0") != "" || got[key] == "" {
				t.Errorf("%s is %q", key, got[key])
			}
		}
		if got["Seccomp"] != "2" { // its /proc doesn't show no_new_privs
			t.Errorf("%v", got)
		}
		for _, attack := range []string{"mounts", "namespaces", "sockets"} {
			for what, outcome := range b.run(b.gvisor("attacker "+attack), nil).lines() {
				if outcome == "done" {
					t.Errorf("%s: %s", what, outcome)
				}
			}
		}
	})
	t.Run("memory", func(t *testing.T) {
		spec := b.gvisor("attacker heap")
		spec.Resources.Memory = 128 << 20
		if r := b.run(spec, nil); !r.OutOfMemory {
			t.Errorf("%+v", r)
		}
	})
	t.Run("disk", func(t *testing.T) {
		spec := b.gvisor("attacker fill $HOME")
		spec.Resources.Disk = 8 << 20
		if r := b.run(spec, nil); !strings.Contains(r.stdout, "ENOSPC") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("egress", func(t *testing.T) {
		spec := b.gvisor("attacker connect tcp 169.254.169.254:80 tcp 10.0.0.1:80")
		spec.Network = network.Policy{Mode: network.ModePublic}
		r := b.run(spec, nil)
		for what, outcome := range r.lines() {
			if outcome != "ECONNREFUSED" { // what is denied is reset at once
				t.Errorf("%s: %s", what, outcome)
			}
		}
		if len(r.lines()) != 2 || len(r.connections) != 2 || r.connections[0].Allowed || r.connections[1].Allowed {
			t.Errorf("%+v", r)
		}
	})
	t.Run("TERM reaches the tool", func(t *testing.T) {
		l := b.mustStart(b.gvisor("trap 'echo last words; exit 7' TERM; echo ready; while :; do sleep 0.1; done"))
		l.stdout.until(t, "ready")
		if err := l.sandbox.Signal(engine.SIGTERM); err != nil {
			t.Error(err)
		}
		if r, err := l.wait(); err != nil || r.Code != 7 || r.stdout != "ready\nlast words\n" {
			t.Errorf("%+v, %v", r, err)
		}
		l = b.mustStart(b.gvisor("echo ready; exec sleep 300"))
		l.stdout.until(t, "ready")
		if err := l.sandbox.Signal(engine.SIGTERM); err != nil {
			t.Error(err)
		}
		if r, err := l.wait(); err != nil || r.Code != 143 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("ends", func(t *testing.T) {
		for _, way := range []string{"kill", "close"} {
			l := b.mustStart(b.gvisor("trap '' TERM; (sleep 300 &) ; echo ready; while :; do sleep 1; done"))
			l.stdout.until(t, "ready")
			if way == "kill" {
				if err := l.sandbox.Signal(engine.SIGTERM); err != nil {
					t.Error(err)
				}
				time.Sleep(200 * time.Millisecond)
				if err := l.sandbox.Signal(engine.SIGKILL); err != nil {
					t.Error(err)
				}
				if r, err := l.wait(); err != nil || r.Code != 137 {
					t.Errorf("%+v, %v", r, err)
				}
				continue
			}
			if err := l.close(); err != nil {
				t.Error(err)
			}
		}
	})
}
