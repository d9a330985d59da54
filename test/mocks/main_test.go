//go:build linux

// Package mocks tests what an engine does for a test's mocks (engine.Mocks), in real sandboxes. The tests run as root.
package mocks

import (
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m, removeHome) }
