//go:build linux

package security

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestI07_NoDevices tries to make device nodes in every writable place, and lists the devices that exist.
func TestI07_NoDevices(t *testing.T) {
	b := newBox(t,
		imagetest.File{Name: "disk", Type: tar.TypeBlock, Mode: 0o666}, // 0:0; devices of an image are dropped (M02)
		imagetest.File{Name: "mem", Type: tar.TypeChar, Mode: 0o666})
	expected := map[string]bool{
		"device /dev/null": true, "device /dev/zero": true, "device /dev/full": true, "device /dev/random": true,
		"device /dev/urandom": true, "device /dev/tty": true, "device /dev/pts/ptmx": true,
	}
	if b.engine.OwnKernel {
		expected["device /dev/fuse"] = true // gVisor's own: mounts on it end in the sandbox
	}
	writable := b.spec("attacker", "devices")
	writable.Security.Writable = true
	for name, spec := range map[string]*engine.Spec{"read-only": b.spec("attacker", "devices"), "writable": writable} {
		seen := 0
		for what, outcome := range b.run(spec, nil).lines() {
			switch {
			case strings.HasPrefix(what, "device "):
				seen++
				if !expected[what] {
					t.Errorf("%s: there is %s", name, what)
				}
			case what == "walk":
			case strings.HasPrefix(what, "open "):
				if outcome != "ENOENT" {
					t.Errorf("%s: %s: %s", name, what, outcome)
				}
			case strings.HasPrefix(what, "TIOC"):
				// Without a terminal the kernel refuses these to everyone.
				if outcome == "done" {
					t.Errorf("%s: %s: %s", name, what, outcome)
				}
			case !refused(outcome):
				t.Errorf("%s: %s: %s", name, what, outcome)
			}
		}
		if seen != len(expected) {
			t.Errorf("%s: %d devices, want %d", name, seen, len(expected))
		}
	}
	r := b.run(b.shell("ls -l /disk /mem; echo x > /dev/null && head -c 4 /dev/zero | od -An -c && head -c 1 /dev/urandom | wc -c; echo x > /dev/full"), nil)
	if strings.Contains(r.stdout, "/disk") || strings.Contains(r.stdout, "/mem") {
		t.Errorf("devices of the image: %+v", r)
	}
	if fifo := b.run(b.shell("mkfifo /tmp/f && { echo through > /tmp/f & cat /tmp/f; }"), nil); fifo.stdout != "through\n" {
		t.Errorf("a FIFO: %+v", fifo)
	}
	if !strings.Contains(r.stderr, "No space left") {
		t.Errorf("/dev/full: %+v", r)
	}
}

// TestI07_TheHostsDevicesKeepTheirOwner checks that the host's devices keep their owner and mode. Pipes that are the tool's
// streams get the tool's user as their owner; an earlier version changed the host's /dev/null like this, which is the standard
// input of a tool without input. hostState also compares the devices.
func TestI07_TheHostsDevicesKeepTheirOwner(t *testing.T) {
	b := newBox(t)
	for _, user := range []string{"", "1000:1000", "nobody"} {
		spec := b.shell("chmod 600 /dev/null /dev/zero /dev/tty; chown 1000 /dev/null /dev/full; rm -f /dev/random; mv /dev/urandom /dev/x; echo ended")
		spec.User = user
		if r := b.run(spec, nil); r.stdout != "ended\n" {
			t.Errorf("%+v", r)
		}
		l, err := b.start(b.spec("sh", "-c", "true"), nil, strings.NewReader("input"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.wait(); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"} {
		if got := describe(t, path); !strings.HasPrefix(got, "Dcrw-rw-rw- 0:0 ") {
			t.Errorf("the host's %s is %s", path, got)
		}
	}
}

// TestI07_DevicesAreTheRunsOwn checks that watches and locks on a tool's devices affect neither the host's devices nor those of
// another run.
func TestI07_DevicesAreTheRunsOwn(t *testing.T) {
	b := embeddedBox(t)
	type marking struct {
		*live
		end *io.PipeWriter
	}
	var runs []marking
	for range 2 {
		stdin, end := io.Pipe()
		l, err := b.start(b.spec("attacker", "marks"), nil, stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer l.sandbox.Close()
		l.stdout.until(t, "marked\n")
		runs = append(runs, marking{l, end})
	}
	devices := []string{"null", "zero", "full", "random", "urandom"}
	inodes := map[string]string{}
	for _, name := range append(devices, "tty") {
		var st unix.Stat_t
		if err := unix.Stat("/dev/"+name, &st); err != nil {
			t.Fatal(err)
		}
		inodes[fmt.Sprintf("%d:%d", st.Dev, st.Ino)] = "the host's " + name
	}
	for _, name := range devices {
		f, err := os.Open("/dev/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Errorf("the host can't lock its %s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, m := range runs {
		_ = m.end.Close() // never fails
		r, err := m.wait()
		got := r.lines()
		if err != nil || got["seen"] != "0" || got["own seen"] != "true" {
			t.Errorf("run %d: %+v, %v", i, r, err)
		}
		for what, outcome := range got {
			switch kind, name, _ := strings.Cut(what, " "); kind {
			case "inode":
				if other := inodes[outcome]; other != "" {
					t.Errorf("run %d: its %s is %s", i, name, other)
				}
				inodes[outcome] = fmt.Sprintf("run %d's %s", i, name)
			case "lock", "mark":
				if outcome != "done" {
					t.Errorf("run %d: %s: %s", i, what, outcome)
				}
			}
		}
		if len(got) != 6+5+6+2 {
			t.Errorf("run %d: %v", i, got)
		}
	}
}
