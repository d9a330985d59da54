//go:build linux

package security

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// openTUN gives the commands of an ordinary user a /dev/net/tun that is open to the user, as udev makes it, in a new mount
// namespace.
func (c *cli) openTUN() {
	c.t.Helper()
	tun := filepath.Join(c.t.TempDir(), "tun")
	if err := unix.Mknod(tun, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(tun, 0o666); err != nil {
		c.t.Fatal(err)
	}
	c.prefix = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", "mount --bind " + tun + ` /dev/net/tun && exec "$@"`, "sh"}, c.prefix...)
}

// serveLoopback accepts connections on one port of this machine's loopback, on IPv4 and IPv6.
func serveLoopback(t *testing.T) (port string) {
	t.Helper()
	for range 100 {
		four, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(four.Addr().String())
		six, err := net.Listen("tcp", net.JoinHostPort("::1", port))
		if errors.Is(err, unix.EADDRINUSE) {
			_ = four.Close()
			continue // another process has that port on IPv6
		}
		serve(t, four)
		if err == nil {
			serve(t, six)
		} else if !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EAFNOSUPPORT) { // a machine without IPv6
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free on both loopbacks")
	return ""
}

func serve(t *testing.T, listener net.Listener) {
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
}

// TestN01_Rootless checks that the network of an ordinary user's runs follows the same rules: it reaches only names and
// addresses that a rule has, and doesn't reach this machine by its name or on its loopback.
func TestN01_Rootless(t *testing.T) {
	c := newRootless(t)
	c.openTUN()
	port := serveLoopback(t)
	tool := c.tool("net", "")
	definition := "name: net\nimage: " + cliImage + "\nnetwork: {egress: [{host: good.example, ports: [80]}, {cidr: 198.51.100.0/24, ports: [80]}]}\nscript: |\n" +
		"  for a in evil.example 192.0.0.192 169.254.169.254 203.0.113.1 fd00:c1::a9fe:a9fe 127.0.0.1 host.mayfly.internal; do\n" +
		"    nc -w 2 $a " + port + " </dev/null && echo reached $a || true\n" +
		"  done\n" +
		"  nslookup -type=txt good.example >/dev/null 2>&1 || true\n" + // a type of question that only dns: allows
		"  echo over\n"
	if err := os.WriteFile(tool, []byte(definition), 0o644); err != nil {
		t.Fatal(err)
	}
	d := c.mayfly("run", tool)
	if d.code != 0 || d.stdout != "over\n" {
		t.Fatalf("%+v", d)
	}
	for _, what := range []string{"evil.example", "192.0.0.192", "169.254.169.254", "203.0.113.1", "fd00:c1::a9fe:a9fe", "host.mayfly.internal", "refused: dns good.example"} {
		if !strings.Contains(d.stderr, what) {
			t.Errorf("nothing is said of %s: %s", what, d.stderr)
		}
	}
}

// TestN02_Rootless checks that it doesn't reach this machine's own addresses either, whatever the range of a rule: a single
// address, a whole range, and a broadcast address.
func TestN02_Rootless(t *testing.T) {
	c := newRootless(t)
	c.openTUN()
	c.prefix = append([]string{"unshare", "--net", "sh", "-c", `busybox ip link set lo up && busybox ip addr add 198.51.100.1/25 dev lo && busybox ip link add v0 type veth && busybox ip addr add 198.51.100.129/26 broadcast + dev v0 && busybox ip link set v0 up && exec "$@"`, "sh"}, c.prefix...)
	tool := filepath.Join(c.tools, "self.yaml")
	definition := "image: " + cliImage + "\nnetwork: {egress: [{cidr: 198.51.100.0/24}]}\nscript: |\n" +
		"  nc -w 2 198.51.100.1 80 </dev/null && echo reached || true\n" +
		"  nc -w 2 198.51.100.7 80 </dev/null || true\n" +
		"  nc -w 2 198.51.100.191 80 </dev/null || true\n" +
		"  nc -w 2 198.51.100.200 80 </dev/null || true\n" +
		"  echo over\n"
	if err := os.WriteFile(tool, []byte(definition), 0o644); err != nil {
		t.Fatal(err)
	}
	d := c.mayfly("run", tool)
	if d.code != 0 || d.stdout != "over\n" {
		t.Fatalf("%+v", d)
	}
	for _, what := range []string{"tcp 198.51.100.1 port 80", "tcp 198.51.100.7 port 80", "tcp 198.51.100.191 port 80"} {
		if !strings.Contains(d.stderr, "refused: "+what) {
			t.Errorf("nothing is said of %s: %s", what, d.stderr)
		}
	}
	if strings.Contains(d.stderr, "refused: tcp 198.51.100.200") {
		t.Errorf("the rule opens nothing: %s", d.stderr)
	}
}

// TestI22_Rootless checks that a cache belongs to the path of a definition, not to its name.
func TestI22_Rootless(t *testing.T) {
	c := newRootless(t)
	for _, folder := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(c.tools, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(c.tools, folder, "deployer.yaml")
		definition := "image: " + cliImage + "\nnetwork: none\nvolumes: [{name: c, cache: bin, mount_path: /cache}]\nscript: ls /cache; echo x > /cache/" + folder + "\n"
		if err := os.WriteFile(path, []byte(definition), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"", folder + "\n"} {
			if d := c.mayfly("run", path); d.code != 0 || d.stdout != want {
				t.Errorf("%s: %+v, want %q", folder, d, want)
			}
		}
	}
}

// TestN05_RootlessShimIsLimited checks that an ordinary user's shim is limited by its own cgroup.
func TestN05_RootlessShimIsLimited(t *testing.T) {
	c := newRootless(t)
	r := c.startRun(c.tool("idle", "resources: {disk: 64Mi}\nscript: echo up; sleep 300\n"), "up")
	parent, file := "/sys/fs/cgroup/memory/mayfly-"+c.uid, "memory.limit_in_bytes"
	want := int64(512<<20 + 64<<20)
	if testbed.Unified() {
		out, err := exec.Command("sh", "-c", "dirname $(find /sys/fs/cgroup -name '"+r.id+".shim' -type d)").Output()
		if err != nil {
			t.Fatal(err)
		}
		parent, file, want = strings.TrimSpace(string(out)), "memory.max", want+128<<20
	}
	dir := filepath.Join(parent, wire.ShimCgroup(r.id))
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || strings.TrimSpace(string(data)) != strconv.FormatInt(want, 10) {
		t.Errorf("the shim's limit is %q, %v; want %d", data, err, want)
	}
	if !testbed.Unified() { // cgroup v2 counts sockets with other memory
		for group, want := range map[string]string{dir: "134217728\n", filepath.Join(parent, r.id): "33554432\n"} {
			if got, err := os.ReadFile(filepath.Join(group, wire.SocketLimitFile)); err != nil || string(got) != want {
				t.Errorf("the limit of sockets in %s is %q, %v; want %q", group, got, err, want)
			}
		}
	}
	if procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || len(strings.Fields(string(procs))) == 0 {
		t.Errorf("nothing is in %s: %q, %v", dir, procs, err)
	}
	_ = r.cmd.Process.Kill()
	r.wait()
	r.nothingLeft()
}
