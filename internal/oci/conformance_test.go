//go:build linux

package oci_test

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func TestConformance(t *testing.T) {
	e := testbed.Engine(t)
	image := testbed.Busybox(t)
	enginetest.Run(t, func(*testing.T) *enginetest.Harness {
		return testbed.HarnessOf(e, image)
	})
}

// TestConformanceOfGVisor runs the suite with the engine's other runtime, Debian's runsc, which test/setup.sh installs.
func TestConformanceOfGVisor(t *testing.T) {
	e := testbed.Engine(t)
	image := testbed.Busybox(t)
	enginetest.Run(t, func(*testing.T) *enginetest.Harness {
		h := testbed.HarnessOf(e, image)
		h.Runtime, h.OwnProcesses, h.MostOpenFiles = "gvisor", testbed.GVisorProcesses, 0 // its kernel has its own limits
		return h
	})
}
