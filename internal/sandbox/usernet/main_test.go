package usernet

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

// worldEnv marks the process that has a network namespace of its own.
const worldEnv = "MAYFLY_TEST_WORLD"

// worldAddresses are the destinations there: documentation networks (RFC 5737,
// RFC 3849), which stand for public ones, and some private ones.
var worldAddresses = []string{
	"203.0.113.10/32", "203.0.113.20/32", "2001:db8::10/128", "2001:db8::20/128",
	"10.1.2.3/32", "169.254.169.254/32", "fd00:1::3/128",
}

// The main goroutine keeps the main thread: tests move threads to other
// namespaces, and this one doesn't end with its goroutine.
func init() { runtime.LockOSThread() }

// TestMain runs the tests once more in a network namespace of their own: what
// is "the host" here has no way out, and any address that a test wants.
func TestMain(m *testing.M) {
	if strings.Contains(strings.Join(os.Args, " "), "-test.fuzz") { // it needs none, and has its own processes
		os.Exit(m.Run())
	}
	networktest.InNamespaces(worldEnv, syscall.CLONE_NEWNET)
	if err := makeWorld(); err != nil {
		fmt.Fprintln(os.Stderr, "make the world of the tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func makeWorld() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, a := range worldAddresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	// A rate limit of the kernel's would be measured instead of ours.
	for _, file := range []string{"/proc/sys/net/ipv4/icmp_ratelimit", "/proc/sys/net/ipv6/icmp/ratelimit"} {
		if err := os.WriteFile(file, []byte("0"), 0); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0)
}
