//go:build linux

// Package security has the attacks of the security profile as tests, named after the rows of docs/SECURITY.md:
//
//	go test -run '^Test[IMNS][0-9][0-9]'
//
// They run as root, on real sandboxes. Inside run busybox and the program in folder attacker. Each test has a file on the host,
// the canary, that must stay unread and unchanged, and checks that the host's devices and programs haven't changed.
package security

import (
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
