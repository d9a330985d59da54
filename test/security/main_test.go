//go:build linux

// Package security has the attacks of the security profile as tests, named by
// the rows of docs/SECURITY.md:
//
//	go test -run '^Test[IMNS][0-9][0-9]'
//
// They run as root against real sandboxes. What runs inside is busybox and the
// program of folder attacker. Each test has a file on the host that must stay
// unread and unchanged, and checks that the host's devices and programs are
// what they were.
package security

import (
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
