package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/engine"
)

const cfsPeriod = 100_000 // microseconds; the kernel's default

// cgroupResources returns the limits in the form that the OCI runtime sets.
func cgroupResources(r engine.Resources) (*specs.LinuxResources, error) {
	period, quota := uint64(cfsPeriod), r.CPU*cfsPeriod/1000
	out := &specs.LinuxResources{
		// Deny all devices; the runtime allows the few that every container has.
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
		CPU:     &specs.LinuxCPU{Period: &period, Quota: &quota},
		Memory:  &specs.LinuxMemory{Limit: &r.Memory},
		Pids:    &specs.LinuxPids{Limit: &r.PIDs},
	}
	if cgroups.IsCgroup2UnifiedMode() {
		// memory.swap.max becomes zero. The kernel kills the whole group together.
		out.Memory.Swap = &r.Memory
		out.Unified = map[string]string{"memory.oom.group": "1"}
		return out, nil
	}
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"); err == nil {
		out.Memory.Swap = &r.Memory // v1: the sum of memory and swap
	} else if swap, err := hasSwap(); err != nil {
		return nil, err
	} else if swap {
		return nil, &engine.Unsupported{
			Feature: "memory limit without swap",
			Why:     "the kernel doesn't count swap for cgroup v1, and this host has swap",
			Remedy:  "boot with swapaccount=1, use cgroup v2, or turn swap off (swapoff -a)",
		}
	}
	return out, nil
}

// hasSwap reports whether the host has swap. /proc/swaps has a heading and a line per swap area.
func hasSwap() (bool, error) {
	data, err := os.ReadFile("/proc/swaps")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a kernel without swap
	}
	return bytes.Count(bytes.TrimSpace(data), []byte("\n")) > 0, err
}

// accounts reads the counters of a cgroup from the few files that matter. paths
// maps a v1 controller to its directory, and "" to the v2 directory. A hybrid
// host has both, and its v2 hierarchy has no controllers.
type accounts struct {
	paths   map[string]string
	unified bool
}

// usage reads the counters. A counter that this kernel doesn't have is zero.
func (a accounts) usage() (engine.Usage, error) {
	var u engine.Usage
	var errs []error
	read := func(into *int64, controller, file string) {
		n, err := a.number(controller, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		*into = n
	}
	var cpu int64
	if a.unified {
		micros, err := a.field("", "cpu.stat", "usage_usec")
		errs = append(errs, ignoreMissing(err))
		cpu = micros * 1000
		read(&u.MemoryBytes, "", "memory.current")
		read(&u.MemoryPeakBytes, "", "memory.peak")
		read(&u.PIDs, "", "pids.current")
	} else {
		read(&cpu, "cpuacct", "cpuacct.usage")
		read(&u.MemoryBytes, "memory", "memory.usage_in_bytes")
		read(&u.MemoryPeakBytes, "memory", "memory.max_usage_in_bytes")
		read(&u.PIDs, "pids", "pids.current")
	}
	u.CPUSeconds = float64(cpu) / 1e9
	u.MemoryPeakBytes = max(u.MemoryPeakBytes, u.MemoryBytes)
	return u, errors.Join(errs...)
}

// files returns the number of bytes in memory file systems that count towards the cgroup.
func (a accounts) files() (int64, error) {
	controller := "memory"
	if a.unified {
		controller = ""
	}
	n, err := a.field(controller, "memory.stat", "shmem")
	return n, ignoreMissing(err)
}

// outOfMemory reports whether the kernel killed a process because of the memory limit.
func (a accounts) outOfMemory() (bool, error) {
	controller, file := "memory", "memory.oom_control"
	if a.unified {
		controller, file = "", "memory.events"
	}
	kills, err := a.field(controller, file, "oom_kill")
	return kills > 0, ignoreMissing(err)
}

// tooManyProcesses reports whether the kernel refused a process because of the limit.
func (a accounts) tooManyProcesses() (bool, error) {
	controller := "pids"
	if a.unified {
		controller = ""
	}
	refused, err := a.field(controller, "pids.events", "max")
	return refused > 0, ignoreMissing(err)
}

// processes returns the ids of the cgroup's processes, one per line.
func (a accounts) processes() ([]byte, error) {
	controller := "pids"
	if a.unified {
		controller = ""
	}
	return a.read(controller, "cgroup.procs")
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (a accounts) number(controller, file string) (int64, error) {
	data, err := a.read(controller, file)
	if err != nil {
		return 0, err
	}
	return parseCounter(strings.TrimSpace(string(data)), file)
}

// field returns the value of one line in a file of "name value" lines.
func (a accounts) field(controller, file, name string) (int64, error) {
	data, err := a.read(controller, file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			return parseCounter(value, file)
		}
	}
	return 0, fmt.Errorf("%s has no %s: %w", file, name, fs.ErrNotExist)
}

func parseCounter(s, file string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cgroup file %s: %w", file, err)
	}
	return n, nil
}

func (a accounts) read(controller, file string) ([]byte, error) {
	dir, ok := a.paths[controller]
	if !ok {
		return nil, fmt.Errorf("no cgroup for %s: %w", file, fs.ErrNotExist)
	}
	return os.ReadFile(filepath.Join(dir, file))
}
