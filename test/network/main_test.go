//go:build linux

// Package network has the attacks on the network as tests on real sandboxes, named after rows N01 to N06 of docs/SECURITY.md:
//
//	go test -run 'TestN0'
//
// They run as root. The "internet" of the tests is a network namespace behind a pair of devices, with the documentation
// networks (RFC 5737, RFC 3849), which count as public.
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

// init keeps the main goroutine on the main thread: tests move threads to other namespaces, and /proc/self shows those of the
// main thread.
func init() { runtime.LockOSThread() }

// ownMounts names the environment variable that says that this process has its own mount namespace.
const ownMounts = "MAYFLY_TEST_OWN_MOUNTS"

// TestMain starts the test binary again in its own mount namespace, since some tests replace the host's /etc/resolv.conf.
func TestMain(m *testing.M) {
	networktest.InNamespaces(ownMounts, syscall.CLONE_NEWNS)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "keep the tests' mounts to themselves:", err)
		os.Exit(1)
	}
	testbed.Main(m)
}
