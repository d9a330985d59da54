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
	"runtime"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// The main goroutine keeps the main thread: tests move threads to other
// namespaces, and this one is what /proc/self shows.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) { testbed.Main(m) }
