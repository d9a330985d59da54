//go:build linux

package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// gvisor returns the spec of a shell script under Debian's runsc, which test/setup.sh installs.
func (b *box) gvisor(script string) *engine.Spec {
	b.t.Helper()
	if _, err := exec.LookPath("runsc"); err != nil {
		b.t.Fatalf("%v: run test/setup.sh", err)
	}
	spec := b.shell(script)
	spec.Security.Runtime = "gvisor"
	spec.Resources.PIDs = 256 // includes gVisor's own threads
	return spec
}

// TestI06_GVisor checks that tools under gVisor run on gVisor's kernel, and that the promises of the profile hold.
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
		if got["Seccomp"] != "2" { // gVisor's /proc doesn't show no_new_privs
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
			if outcome != "ECONNREFUSED" { // a denied connection is reset immediately
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

// TestGVisorRunsPrograms checks that Debian 12's C library, which falls back if a kernel lacks a call, starts threads and looks
// up names under gVisor. Options that would enlarge the queues of the host's sockets must stay refused.
func TestGVisorRunsPrograms(t *testing.T) {
	c := newCLI(t)
	if d := c.mayfly("image", "load", "--input", filepath.Join(testbed.Root(), ".build/images/python.tar")); d.code != 0 {
		t.Fatalf("%s; build it with images/build.sh", d.stderr)
	}
	path := filepath.Join(c.tools, "programs.yaml")
	text := `
name: programs
image: mayfly/python:latest
security: {runtime: gvisor}
resources: {pids: 256}
network: {egress: [{host: host.mayfly.internal, ports: [80]}]}
command:
  - python3
  - -c
  - |
    import os, socket, threading
    def attempt(what, f):
        try: print(what, f())
        except OSError as e: print(what, e.strerror)
    ended = []
    threads = [threading.Thread(target=ended.append, args=[i]) for i in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("threads", len(ended))
    attempt("name", lambda: socket.getaddrinfo("host.mayfly.internal", 80)[0][4])
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attempt("receive buffer", lambda: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24))
    attempt("group", lambda: s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, bytes([224, 0, 0, 9, 0, 0, 0, 0])))
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := c.mayfly("run", path)
	want := "threads 4\nname ('198.18.0.1', 80)\nreceive buffer Operation not permitted\ngroup Operation not permitted\n"
	if d.code != 0 || d.stdout != want {
		t.Errorf("status %d, %q, want %q; %s", d.code, d.stdout, want, d.stderr)
	}
}
