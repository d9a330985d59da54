package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The main goroutine keeps the main thread. Tests move threads to other
// namespaces, and the main thread doesn't end with a goroutine.
func init() { runtime.LockOSThread() }

// newNamespace makes a network namespace that lasts as long as the test, and
// returns its path. setUp runs in it.
func newNamespace(t *testing.T, setUp func() error) string {
	t.Helper()
	ready, done := make(chan error, 1), make(chan struct{})
	path := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("make a network namespace, which takes root: %w", err)
			return
		}
		path <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- setUp()
		<-done
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
	return <-path
}

// TestOpenTUNIsReady makes many links. The kernel accepts packets for each
// immediately.
func TestOpenTUNIsReady(t *testing.T) {
	for range 50 {
		ns := newNamespace(t, func() error { return nil })
		local, err := inNamespace(ns, func() (bool, error) {
			tun, err := openTUN()
			if err != nil {
				return false, err
			}
			defer tun.Close()
			return isLocal(toolAddress6.Addr())
		})
		if err != nil || !local {
			t.Fatalf("got a local route %t, %v, want true", local, err)
		}
	}
}

// TestOpenTUN checks the sandbox's link, on a host with IPv6 and on one without.
func TestOpenTUN(t *testing.T) {
	for name, c := range map[string]struct {
		disable string
		routes  int
	}{"IPv6": {"0", 2}, "no IPv6": {"1", 1}} {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t, func() error {
				// The default applies to devices that are made later.
				return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte(c.disable), 0)
			})
			tun, err := inNamespace(ns, openTUN)
			if err != nil {
				t.Fatal(err)
			}
			defer tun.Close()
			routes, err := inNamespace(ns, func() (n int, err error) {
				link, err := netlink.LinkByName("eth0")
				if err != nil {
					return 0, err
				}
				if link.Attrs().MTU != linkMTU || link.Attrs().Flags&unix.IFF_UP == 0 {
					return 0, fmt.Errorf("the link has MTU %d, flags %x", link.Attrs().MTU, link.Attrs().Flags)
				}
				for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
					all, err := netlink.RouteList(link, family)
					if err != nil {
						return 0, err
					}
					for _, r := range all {
						if r.Gw != nil {
							n++
						}
					}
				}
				return n, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if routes != c.routes {
				t.Errorf("got %d default routes, want %d", routes, c.routes)
			}
		})
	}
}
