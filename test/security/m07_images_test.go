//go:build linux

package security

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestM07_HostileUsers asks for users that don't exist, are out of range or are not valid.
func TestM07_HostileUsers(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "etc/passwd", Body: "root:x:0:0::/root:/bin/sh\nbig:x:4294967295:0::/:/bin/sh\nhost:x:70000:70000::/:/bin/sh\n" +
		"minus:x:-1:-1::/:/bin/sh\nshort\n::::::\n#:x:0\nroot:x:0:0:again:/proc/self/fd/7:/bin/sh\n"})
	for _, user := range []string{
		"4294967296", "-1", "65536", "99999:0", "0:65536", "big", "host", "minus", "nosuch", "root:nosuch", "0:nosuch:x", "../../etc", "$(id)", "1000000000000000000000",
		"\n", "root\nroot", "a b", strings.Repeat("a", 1<<20),
	} {
		spec := b.shell("id -u")
		spec.User = user
		r, err := b.try(spec, nil)
		var invalid *engine.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("user %.40q: %+v, %v", user, r, err)
		}
		if err != nil && len(err.Error()) > 4<<20 {
			t.Errorf("user %.40q: an error of %d bytes", user, len(err.Error()))
		}
	}
}

// TestM07_HostilePasswd tries images whose /etc/passwd and /etc/group are anything except a small file. Reading them must
// neither block nor take much memory.
func TestM07_HostilePasswd(t *testing.T) {
	c := newCanary(t)
	huge := strings.Repeat("user:x:1000:1000:"+strings.Repeat("x", 200)+":/:/bin/sh\n", 1<<18)
	for _, name := range []string{"etc/passwd", "etc/group"} {
		for kind, f := range map[string]imagetest.File{
			"huge":      {Name: name, Body: huge},
			"one line":  {Name: name, Body: strings.Repeat("x", 8<<20)},
			"FIFO":      {Name: name, Type: tar.TypeFifo},
			"device":    {Name: name, Type: tar.TypeChar},
			"directory": {Name: name + "/"},
			"link":      link(name, c.path),
			"up":        link(name, strings.Repeat("../", 12)+c.path[1:]),
			"loop":      link(name, name[4:]),
			"zero":      link(name, "/dev/zero"),
			"process":   link(name, "/proc/1/environ"),
		} {
			b := &box{t: t, engine: testbed.UnderTest(t), canary: c, image: imageOf(t, imagetest.File{Name: "etc/"}, f)}
			// Unpacking drops these two kinds (M02). A layer that has them anyway must do no harm.
			if special := f.Type == tar.TypeFifo || f.Type == tar.TypeChar; special {
				place := filepath.Join(b.image.Unpacked.Layers[len(b.image.Unpacked.Layers)-1], name)
				mode := map[byte]uint32{tar.TypeFifo: unix.S_IFIFO, tar.TypeChar: unix.S_IFCHR}[f.Type]
				if err := unix.Mknod(place, mode|0o666, int(unix.Mkdev(1, 5))); err != nil {
					t.Fatal(err)
				}
			}
			for _, user := range []string{"", "1000:1000", "user", c.content} {
				spec := b.shell("echo ran")
				spec.User = user
				r, err := b.try(spec, nil)
				switch {
				case err != nil && strings.Contains(err.Error(), c.content) && user != c.content:
					t.Errorf("%s as %s: the error has the canary: %v", name, kind, err)
				case err == nil && (kind == "huge" || kind == "one line"):
					t.Errorf("%s as %s was read", name, kind)
				case err == nil && user == "user" && name == "etc/passwd":
					t.Errorf("%s as %s: it has a user: %+v", name, kind, r)
				}
			}
		}
	}
}

// TestM07_HostileConfigurations tries hostile values in everything that an image says about how to run it. Each must be ignored
// or refused.
func TestM07_HostileConfigurations(t *testing.T) {
	canary := newCanary(t)
	store, err := image.Open(t.TempDir(), image.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"mayfly.run/privileged": "true", "io.containers.capabilities": "SYS_ADMIN", "\x1b[31m": strings.Repeat("x", 1<<20)}
	volumes := map[string]struct{}{canary.dir: {}, "/proc": {}, "../../x": {}}
	for name, config := range map[string]imagetest.Config{
		"labels":      {Labels: labels, Volumes: volumes, Healthcheck: nil, StopSignal: "99999", ExposedPorts: map[string]struct{}{"1/tcp": {}, "x/y": {}}},
		"environment": {Env: []string{"LD_PRELOAD=/evil.so", "PATH=" + canary.dir + ":/bin", "MAYFLY_OUTPUT=" + canary.path, "A=" + strings.Repeat("x", 100_000), "GODEBUG=x", "_LIBCONTAINER_FIFOFD=3", "_LIBCONTAINER_STATEDIR=/", "HOME=/tmp/h"}},
		"directory":   {WorkingDir: canary.dir},
		"user":        {User: "70000:70000"},
		"arguments":   {Entrypoint: []string{"sh", "-c", strings.Repeat("#", 3<<20)}},
	} {
		b := &box{t: t, engine: testbed.UnderTest(t), canary: canary, image: testbed.UnpackInto(t, store, config, imagetest.BusyboxLayer(t), attackerLayer(t))}
		img, err := store.Lookup(b.image.Reference)
		if err != nil {
			t.Fatal(err)
		}
		d := &tool.Tool{Name: "t", Image: b.image.Reference}
		if config.Entrypoint == nil {
			d.Command = &tool.Command{Argv: []string{"sh", "-c", `attacker status; ls -la . ; cat ./canary ` + canary.path + `; echo x > "$MAYFLY_OUTPUT"; echo x > ./canary`}}
		}
		spec, _, err := local.Compile(newID(), &run.Request{Tool: d}, img, local.Places{Caches: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		spec.Network.Mode = "none"
		r, err := b.try(spec, nil)
		if err != nil {
			t.Logf("%s is refused: %.200v", name, err)
			if len(err.Error()) > 1<<20 {
				t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
			}
			continue
		}
		if config.Entrypoint != nil {
			if r.Code == 0 || !strings.Contains(r.stderr, "too long") { // execve(2), E2BIG
				t.Errorf("%s: %+v", name, r)
			}
			continue
		}
		if got := r.lines(); got["CapEff"] != "0000000000000000" || got["Seccomp"] != "2" {
			t.Errorf("%s: %+v", name, r)
		}
		canary.unchanged()
	}
}

// TestM07_HostileProgramsTakeNoMemory checks that the shim, which reads the tool's program before it starts, takes little memory
// for a program whose table of names is nearly the whole file.
func TestM07_HostileProgramsTakeNoMemory(t *testing.T) {
	body := []byte(attackerProgram(t).Body)
	const size = 192 << 20
	program := append(bytes.Clone(body), make([]byte, size-len(body))...)
	sections := make([]elf.Section64, 2) // number 0 would mean that there is no table of names
	section := &sections[1]
	section.Type, section.Off, section.Size = uint32(elf.SHT_STRTAB), uint64(len(body)), uint64(size-len(body)-1<<20)
	var table bytes.Buffer
	if err := binary.Write(&table, binary.LittleEndian, sections); err != nil {
		t.Fatal(err)
	}
	copy(program[size-table.Len():], table.Bytes())
	// e_shoff, e_shentsize, e_shnum, e_shstrndx of elf(5).
	binary.LittleEndian.PutUint64(program[40:], uint64(size-table.Len()))
	binary.LittleEndian.PutUint16(program[58:], uint16(binary.Size(section)))
	binary.LittleEndian.PutUint16(program[60:], 2)
	binary.LittleEndian.PutUint16(program[62:], 1)
	b := newBox(t, imagetest.File{Name: "bin/large", Body: string(program), Mode: 0o755})
	l := b.mustStart(b.spec("large", "stubborn", "ignore"))
	l.stdout.until(t, "ready")
	pids := pidsOf(t, l.id)
	if len(pids) == 0 {
		t.Fatal("no processes")
	}
	shim := field(t, pids[0], "PPid")[0]
	if peak := peakMemory(shim); commandOf(shim) != "mayfly-shim" || peak > 64<<20 {
		t.Errorf("%s had %d MiB for a program of %d MiB", commandOf(shim), peak>>20, size>>20)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
	// Headers with damage in each field.
	for at := 16; at < 64; at += 8 {
		bent := bytes.Clone(body)
		binary.LittleEndian.PutUint64(bent[at:], 0x7fffffffffffff00)
		bb := &box{t: t, engine: b.engine, canary: b.canary, image: imageOf(t, imagetest.File{Name: "bent", Body: string(bent), Mode: 0o755})}
		var command *engine.CommandError
		if r, err := bb.try(bb.spec("/bent", "status"), nil); err != nil && !errors.As(err, &command) {
			t.Errorf("byte %d: %+v, %v", at, r, err)
		}
	}
}
