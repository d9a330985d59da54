//go:build linux

package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// capabilities is a set with one bit for each capability (capabilities(7)).
type capabilities uint64

type capability struct {
	name   string
	number uint
}

var (
	// startCapabilities are those that root's mayfly and shim need for any run, because a sandbox has ids other than theirs.
	startCapabilities = []capability{
		{"CAP_CHOWN", unix.CAP_CHOWN},
		{"CAP_DAC_OVERRIDE", unix.CAP_DAC_OVERRIDE},
		{"CAP_FOWNER", unix.CAP_FOWNER},
		{"CAP_SETGID", unix.CAP_SETGID},
		{"CAP_SETUID", unix.CAP_SETUID},
		{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN},   // mounts and namespaces
		{"CAP_SYS_CHROOT", unix.CAP_SYS_CHROOT}, // to join a mount namespace (setns(2))
		{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}, // to join the namespaces of the holder, which no other process may inspect
	}
	// ownerCapabilities are those that the shim needs in a sandbox's namespaces if the run's own first id makes them. In
	// namespaces that the shim makes itself it has them anyway (holder.c).
	ownerCapabilities = []capability{{"CAP_KILL", unix.CAP_KILL}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}}
	// deviceCapabilities are those that the shim needs for a run's own device nodes (sandbox/devices.go).
	deviceCapabilities = []capability{{"CAP_MKNOD", unix.CAP_MKNOD}}
)

const (
	featureStart = "ids and namespaces of runs"
	featureOwner = "kernel counts per run"
)

const giveCapabilities = "give mayfly these capabilities, with CapabilityBoundingSet= in its service or --cap-add for its container"

// probeCapabilities checks whether the capabilities of this process are enough.
func (e *Engine) probeCapabilities() []engine.Check {
	if e.rootless != nil {
		return []engine.Check{
			ok(featureStart, "those of the user's own namespace"),
			ok(featureOwner, "counted for this user, whose ids all of the user's runs share"),
		}
	}
	have, err := effectiveCapabilities()
	if err != nil {
		return []engine.Check{missing(featureStart, err.Error(), "")}
	}
	return have.checks()
}

// probeDevices checks whether runs can have their own device nodes.
func (e *Engine) probeDevices() engine.Check {
	const feature, hosts = "devices per run", "runs have the host's /dev/null and the like: "
	if e.rootless != nil {
		return absent(feature, hosts+"only root makes device nodes", "run mayfly as root; the sandbox doesn't depend on it")
	}
	have, err := effectiveCapabilities()
	if err != nil {
		return missing(feature, err.Error(), "")
	}
	if lacking := have.lacking(deviceCapabilities); lacking != "" {
		return absent(feature, hosts+"this process lacks "+lacking, giveCapabilities)
	}
	if err := tryDevice(); err != nil {
		return absent(feature, hosts+err.Error(), "let mayfly make device nodes: by DeviceAllow= of its service, or outside a container's user namespace")
	}
	return ok(feature, "")
}

// tryDevice makes a device node and removes it: the capability alone doesn't decide whether that works (mknod(2)).
func tryDevice() (err error) {
	dir, err := os.MkdirTemp("", "mayfly-device-")
	if err != nil {
		return fmt.Errorf("it can't be tested: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "null")
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		return &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}

func effectiveCapabilities() (capabilities, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, err
	}
	return capabilities(data[1].Effective)<<32 | capabilities(data[0].Effective), nil
}

// checks returns the checks for root with these capabilities.
func (c capabilities) checks() []engine.Check {
	checks := []engine.Check{ok(featureStart, ""), ok(featureOwner, "")}
	if lacking := c.lacking(startCapabilities); lacking != "" {
		checks[0] = missing(featureStart, "this process lacks "+lacking, giveCapabilities)
	}
	if lacking := c.lacking(ownerCapabilities); lacking != "" {
		checks[1] = absent(featureOwner, "inotify instances and queued signals of all runs are counted for root: this process lacks "+lacking, giveCapabilities)
	}
	return checks
}

// lacking returns the names of the wanted capabilities that aren't in the set.
func (c capabilities) lacking(wanted []capability) string {
	var names []string
	for _, w := range wanted {
		if c&(1<<w.number) == 0 {
			names = append(names, w.name)
		}
	}
	return strings.Join(names, ", ")
}
