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
