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

// namespaceEnv marks the process that has its own network namespace.
const namespaceEnv = "MAYFLY_TEST_WORLD"

// destinations are the addresses in that namespace: of documentation networks
// (RFC 5737, RFC 3849), as public addresses, and some private ones.
var destinations = []string{
	"203.0.113.10/32", "203.0.113.20/32", "2001:db8::10/128", "2001:db8::20/128",
	"10.1.2.3/32", "169.254.169.254/32", "fd00:1::3/128",
}

// The main goroutine keeps the main thread. Tests move threads to other
// namespaces, and the main thread doesn't end with a goroutine.
func init() { runtime.LockOSThread() }

// TestMain runs the tests in another process with its own network namespace. This
// "host" has no way out, and has every address that a test needs.
func TestMain(m *testing.M) {
	if strings.Contains(strings.Join(os.Args, " "), "-test.fuzz") { // fuzzing needs no namespace, and starts its own processes
		os.Exit(m.Run())
	}
	networktest.InNamespaces(namespaceEnv, syscall.CLONE_NEWNET)
	if err := setUpNamespace(); err != nil {
		fmt.Fprintln(os.Stderr, "set up the network namespace of the tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUpNamespace() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, a := range destinations {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	// Otherwise tests would measure the kernel's rate limit instead of this package's.
	for _, file := range []string{"/proc/sys/net/ipv4/icmp_ratelimit", "/proc/sys/net/ipv6/icmp/ratelimit"} {
		if err := os.WriteFile(file, []byte("0"), 0); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0)
}
