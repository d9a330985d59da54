//go:build linux

package oci

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Capabilities implements [engine.Engine]. Only a start finds out which limits of an ordinary user can be enforced, and whether
// a runtime is installed.
func (e *Engine) Capabilities() engine.Capabilities {
	c := engine.Capabilities{
		MountsLayers: true, Networks: network.Modes(), Mounts: engine.MountKinds(),
		Terminal: true, Mocks: true, Keeps: true,
	}
	if e.rootless == nil {
		c.Runtimes = []string{"gvisor"}
	}
	return c
}

// check refuses what this host can't enforce, before anything is made. Expensive
// checks are left to the steps that need them.
func (e *Engine) check(spec *engine.Spec, local *engine.Local) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	if err := local.Validate(spec); err != nil {
		return err
	}
	if err := checkOpenFiles(spec.Resources.NoFile); err != nil {
		return err
	}
	if e.rootless != nil && spec.Security.OtherRuntime() {
		return &engine.Unsupported{Feature: "runtime " + spec.Security.Runtime, Why: "it needs root on the host", Remedy: "run mayfly as root, or leave security.runtime out"}
	}
	capabilities := e.Capabilities()
	if err := capabilities.Check(spec); err != nil {
		return err
	}
	checks := append(slices.Concat(e.probeCapabilities(), e.probeCgroups()), probeSockets())
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

// checkOpenFiles refuses a limit of open files above the host's (getrlimit(2)).
func checkOpenFiles(limit int64) error {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if uint64(limit) <= own.Max {
		return nil
	}
	return &engine.Unsupported{
		Feature: fmt.Sprintf("nofile %d", limit),
		Why:     fmt.Sprintf("a process on this host may have %d open files", own.Max),
		Remedy:  "raise the limit (ulimit -Hn, or LimitNOFILE= of the service that starts mayfly), or lower resources.nofile",
	}
}
