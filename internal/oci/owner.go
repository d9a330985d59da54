//go:build linux

package oci

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// ownerCapabilities are what the shim needs in a sandbox's namespaces when the run's own first id has made them, as it
// has anyway in those that it made itself (holder.c).
var ownerCapabilities = []struct {
	name   string
	number uint
}{{"CAP_KILL", unix.CAP_KILL}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}}

// probeOwner says for whom the kernel counts what runs take of inotify instances and queued signals.
func (e *Engine) probeOwner() engine.Check {
	const feature = "kernel counts per run"
	if e.rootless != nil {
		return ok(feature, "counted for this user, whose ids all of the user's runs share")
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return missing(feature, err.Error(), "")
	}
	var lacking []string
	for _, c := range ownerCapabilities {
		if data[0].Effective&(1<<c.number) == 0 {
			lacking = append(lacking, c.name)
		}
	}
	if len(lacking) == 0 {
		return ok(feature, "")
	}
	return absent(feature, "inotify instances and queued signals of all runs are counted for root: this process lacks "+strings.Join(lacking, ", "),
		"give mayfly these capabilities, with CapabilityBoundingSet= in its service or --cap-add for its container")
}
