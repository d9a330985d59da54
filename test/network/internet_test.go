//go:build linux

package network

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// Addresses in the test's internet, and of this host in it.
const (
	server4, server6     = "203.0.113.10", "2001:db8::10"
	nameServer           = "203.0.113.53"
	host4, host6         = "203.0.113.1", "2001:db8::1"
	private4             = "10.213.7.3" // also in the internet's namespace
	hostLink, serverLink = "mayflytest0", "mayflytest1"
)

// internet is a network namespace with servers in it.
type internet struct {
	t  *testing.T
	ns int
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	i := &internet{t: t, ns: -1}
	if err := i.make(); err != nil {
		t.Fatal("make the test's internet: ", err)
	}
	return i
}

// make makes the namespace and a pair of devices between it and the host.
func (i *internet) make() error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			i.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return err
	}
	i.t.Cleanup(func() { unix.Close(i.ns) })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = hostLink
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: serverLink, PeerNamespace: netlink.NsFd(i.ns)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the pair of devices: %w", err)
	}
	i.t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil {
			i.t.Error("remove the pair of devices: ", err)
		}
	})
	var err error
	i.inside(func() { err = setUp(serverLink, server4+"/24", server6+"/64", nameServer+"/24", private4+"/24") })
	if err != nil {
		return err
	}
	return setUp(hostLink, host4+"/24", host6+"/64", "10.213.7.1/24")
}

// setUp gives a device addresses, and waits until they can be used.
func setUp(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	// An IPv6 address can be used only some time after it was set.
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		list, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			return err
		}
		ready := true
		for _, a := range list {
			ready = ready && a.Flags&unix.IFA_F_TENTATIVE == 0
		}
		if ready {
			return nil
		}
	}
	return nil
}

// inside calls f on a thread in the internet's namespace. Sockets that f makes stay there.
func (i *internet) inside(f func()) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(i.ns, unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		i.t.Error("enter the test's internet: ", err)
	}
}

// serve listens at an address of the internet and calls f, in this process, with each connection.
func (i *internet) serve(address string, f func(net.Conn)) (port string) {
	var l net.Listener
	var err error
	i.inside(func() { l, err = net.Listen("tcp", address) })
	return serve(i.t, l, err, f)
}

func (i *internet) listenPacket(address string) net.PacketConn {
	i.t.Helper()
	var conn net.PacketConn
	var err error
	i.inside(func() { conn, err = net.ListenPacket("udp", address) })
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { conn.Close() })
	return conn
}

// echo answers datagrams with themselves.
func (i *internet) echo(address string) (port string) {
	conn := i.listenPacket(address)
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}

// serveHost listens at an address of this host and calls f with each connection.
func serveHost(t *testing.T, address string, f func(net.Conn)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	return serve(t, l, err, f)
}

func serve(t *testing.T, l net.Listener, err error, f func(net.Conn)) (port string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// trap returns a handler that fails the test: nothing may reach its server.
func trap(t *testing.T) func(net.Conn) {
	return func(c net.Conn) { t.Errorf("%s was reached", c.LocalAddr()) }
}

func welcome(c net.Conn) { _, _ = io.WriteString(c, "hello") }

// inPlaceOf calls f while the file at path, in this process's mount namespace, has another content. dir is a folder for that
// content.
func inPlaceOf(path, content, dir string, f func()) (err error) {
	file := dir + "/replacement"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put a file in the place of %s: %w", path, err)
	}
	defer func() {
		if umount := unix.Unmount(path, unix.MNT_DETACH); umount != nil {
			err = fmt.Errorf("put %s back: %w", path, umount)
		}
	}()
	f()
	return nil
}
