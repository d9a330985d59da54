package networktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// InNamespaces runs the tests of a package in a child process with its own
// namespaces (the flags of clone(2)), and exits with their status. In the child,
// which has the environment variable marker, it returns at once. The calling
// goroutine must be locked to the main thread, since the child dies with the
// thread that started it (PR_SET_PDEATHSIG(2const)).
func InNamespaces(marker string, flags uintptr) {
	if os.Getenv(marker) != "" {
		return
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "these tests make namespaces: run them as root:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TakeRange makes a range of addresses local in this network namespace until the
// test ends, without a device that has them (Linux's "AnyIP").
func TakeRange(t *testing.T, cidr string) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	dst, err := netlink.ParseIPNet(cidr)
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
	if err := netlink.RouteAdd(route); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.RouteDel(route); err != nil {
			t.Error(err)
		}
	})
}
