//go:build linux

package oci

import (
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// check refuses what this host can't enforce, before anything is made. What is
// expensive to find out is found by the step that needs it.
func (e *Engine) check(spec *engine.Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	if e.rootless != nil {
		if spec.Security.OtherRuntime() {
			return &engine.Unsupported{Feature: "runtime " + spec.Security.Runtime, Why: "it needs root on the host", Remedy: "run mayfly as root, or leave security.runtime out"}
		}
	}
	checks := append(e.probeCgroups(), probeSockets())
	if spec.Network.Mode != network.ModeNone {
		checks = append(checks, probeTUN())
	}
	for _, c := range checks {
		if c.Status == engine.CheckMissing {
			return c.Unsupported()
		}
	}
	return nil
}
