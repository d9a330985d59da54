package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// fixture writes cgroup files in the kernel's format and returns their directory.
func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const cpuStat = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 0\n"

func TestUsageOfCgroupV2(t *testing.T) {
	a := accounts{unified: true, paths: map[string]string{"": fixture(t, map[string]string{
		"cpu.stat": cpuStat, "memory.current": "4096\n", "memory.peak": "8192\n", "pids.current": "3\n",
	})}}
	u, err := a.usage()
	want := engine.Usage{CPUSeconds: 2.5, MemoryBytes: 4096, MemoryPeakBytes: 8192, PIDs: 3}
	if err != nil || u != want {
		t.Errorf("got %+v, %v, want %+v", u, err, want)
	}
}

// TestUsageOfCgroupV2WithoutPeak: before Linux 5.19 there is no memory.peak, and
// the current use is the best known value.
func TestUsageOfCgroupV2WithoutPeak(t *testing.T) {
	a := accounts{unified: true, paths: map[string]string{"": fixture(t, map[string]string{"cpu.stat": cpuStat, "memory.current": "4096\n", "pids.current": "1\n"})}}
	u, err := a.usage()
	if err != nil || u.MemoryPeakBytes != 4096 {
		t.Errorf("got %+v, %v, want a peak of 4096", u, err)
	}
}

func TestUsageOfCgroupV1(t *testing.T) {
	// A hybrid host has the v2 hierarchy too, without controllers.
	a := accounts{paths: map[string]string{
		"":        fixture(t, map[string]string{"cpu.stat": "usage_usec 99\n"}),
		"cpuacct": fixture(t, map[string]string{"cpuacct.usage": "1500000000\n"}),
		"memory":  fixture(t, map[string]string{"memory.usage_in_bytes": "100\n", "memory.max_usage_in_bytes": "200\n"}),
		"pids":    fixture(t, map[string]string{"pids.current": "7\n"}),
	}}
	u, err := a.usage()
	want := engine.Usage{CPUSeconds: 1.5, MemoryBytes: 100, MemoryPeakBytes: 200, PIDs: 7}
	if err != nil || u != want {
		t.Errorf("got %+v, %v, want %+v", u, err, want)
	}
}

func TestUsageSaysWhatItCouldNotRead(t *testing.T) {
	a := accounts{unified: true, paths: map[string]string{"": fixture(t, map[string]string{"cpu.stat": cpuStat, "memory.current": "many\n"})}}
	if _, err := a.usage(); err == nil || !strings.Contains(err.Error(), "memory.current") {
		t.Errorf("got %v, want an error about memory.current", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	const v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill %\n"
	const v2 = "low 0\nhigh 0\nmax 12\noom 1\noom_kill %\noom_group_kill 0\n"
	for _, kills := range []string{"0", "2"} {
		for name, a := range map[string]accounts{
			"v1": {paths: map[string]string{"memory": fixture(t, map[string]string{"memory.oom_control": strings.Replace(v1, "%", kills, 1)})}},
			"v2": {unified: true, paths: map[string]string{"": fixture(t, map[string]string{"memory.events": strings.Replace(v2, "%", kills, 1)})}},
		} {
			got, err := a.outOfMemory()
			if err != nil || got != (kills != "0") {
				t.Errorf("%s with %s kills: got %v, %v", name, kills, got, err)
			}
		}
	}
	if got, err := (accounts{paths: map[string]string{}}).outOfMemory(); got || err != nil {
		t.Errorf("without a cgroup: got %v, %v, want false", got, err)
	}
}

func TestCgroupResources(t *testing.T) {
	r, err := cgroupResources(engine.Resources{CPU: 1500, Memory: 1 << 20, Disk: 1, PIDs: 9})
	if err != nil {
		t.Fatal(err)
	}
	if *r.CPU.Quota != 150_000 || *r.CPU.Period != 100_000 || *r.Memory.Limit != 1<<20 || *r.Pids.Limit != 9 {
		t.Errorf("%+v %+v %+v", r.CPU, r.Memory, r.Pids)
	}
	if r.Memory.Swap != nil && *r.Memory.Swap != 1<<20 {
		t.Errorf("memory and swap together: got %d, want %d", *r.Memory.Swap, 1<<20)
	}
}
