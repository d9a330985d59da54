//go:build linux

// Package network has the attacks on the network as tests on real sandboxes,
// named by rows N01 to N05 of docs/SECURITY.md:
//
//	go test -run 'TestN0'
//
// They run as root. The "internet" of the tests is a network namespace of
// their own behind a pair of devices, with the documentation networks (RFC
// 5737, RFC 3849), which count as public.
package network

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/network/networktest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// The main goroutine keeps the main thread: tests move threads to other
// namespaces, and this one is what /proc/self shows.
func init() { runtime.LockOSThread() }

// ownMounts says that this process has mounts of its own.
const ownMounts = "MAYFLY_TEST_OWN_MOUNTS"

// TestMain runs the tests once more, in a mount namespace of their own: some
// put another /etc/resolv.conf in the place of the host's.
func TestMain(m *testing.M) {
	networktest.InNamespaces(ownMounts, syscall.CLONE_NEWNS)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "keep the tests' mounts to themselves:", err)
		os.Exit(1)
	}
	testbed.Main(m)
}
