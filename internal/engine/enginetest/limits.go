package enginetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// testProcessor doesn't depend on the speed of the machine: it compares the processor time of a tool with the time that passes.
func testProcessor(t *testing.T, h *Harness) {
	spec := h.Spec(Compute, "3")
	spec.Resources.CPU = 200
	r := h.run(t, spec, nil, nil)
	passed := r.exit.Finished.Sub(r.exit.Started).Seconds()
	if used := r.exit.Usage.CPUSeconds; r.exit.Code != 0 || used <= 0 || used > passed*0.4 {
		t.Errorf("a fifth of a processor: used %.2f s of it in %.2f s; exit status %d", used, passed, r.exit.Code)
	}
}

func testMemory(t *testing.T, h *Harness) {
	spec := h.Spec(Allocate, fmt.Sprint(1<<30))
	spec.Resources.Memory = 128 << 20
	if r := h.run(t, spec, nil, nil); !r.exit.OutOfMemory || r.exit.Code == 0 || strings.Contains(r.stdout, "1073741824") {
		t.Errorf("1 GiB with a limit of 128 MiB: %+v", r)
	}
	if r := h.run(t, h.Spec(Allocate, fmt.Sprint(1<<20)), nil, nil); r.exit.OutOfMemory || r.exit.Code != 0 {
		t.Errorf("1 MiB with a limit of 256 MiB: %+v", r)
	}
}

func testDisk(t *testing.T, h *Harness) {
	spec := h.Spec(Fill, fmt.Sprint("/tmp/f ", 32<<20))
	spec.Resources.Disk = 16 << 20
	if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
		t.Errorf("32 MiB with a limit of 16 MiB: %+v", r)
	}
	spec = h.Spec(Fill, fmt.Sprint("/tmp/f ", 8<<20))
	spec.Resources.Disk = 16 << 20
	if r := h.run(t, spec, nil, nil); r.exit.Code != 0 {
		t.Errorf("8 MiB with a limit of 16 MiB: %+v", r)
	}
}

func testProcesses(t *testing.T, h *Harness) {
	spec := h.Spec(Fork, "100")
	spec.Resources.PIDs = 32 + h.OwnProcesses
	if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
		t.Errorf("100 processes with a limit of 32: %+v", r)
	} else if !r.exit.TooManyProcesses && h.Runtime == "" {
		t.Errorf("the exit doesn't say that there were too many processes: %+v", r.exit)
	}
	if r := h.run(t, h.Spec(Fork, "10"), nil, nil); r.exit.Code != 0 || r.stdout != "started\n" {
		t.Errorf("10 processes: %+v", r)
	}
}

func testOpenFiles(t *testing.T, h *Harness) {
	most := h.MostOpenFiles
	if most == 0 {
		most = engine.MostOpenFiles
	}
	for _, c := range []struct {
		noFile, most int64
		want         string
	}{{0, 0, fmt.Sprintf("%d\n%d\n", engine.OpenFiles, most)}, {77, 0, "77\n77\n"}, {0, 2048, "1024\n2048\n"}, {0, 512, "512\n512\n"}} {
		spec := h.Spec(OpenFiles, "")
		spec.Resources.NoFile, spec.Resources.MostNoFile = c.noFile, c.most
		if r := h.run(t, spec, nil, nil); r.stdout != c.want {
			t.Errorf("nofile %d and %d: got %q, want %q", c.noFile, c.most, r.stdout, c.want)
		}
	}
}

// testBandwidth checks only that a download takes at least as long as the limit implies, which doesn't depend on the speed of
// the machine.
func testBandwidth(t *testing.T, h *Harness) {
	const size = 2 << 20
	server := h.serve(t, strings.Repeat("x", size))
	spec := h.Spec(Reach, server.target())
	spec.Network = server.policy()
	spec.Resources.Bandwidth = 8 * size / 2 // two seconds, less the burst
	r := h.run(t, spec, nil, nil)
	if took := r.exit.Finished.Sub(r.exit.Started); len(r.stdout) != size || took < time.Second {
		t.Errorf("got %d bytes in %v, want %d in at least a second: %s", len(r.stdout), took, size, r.stderr)
	}
	if spec.Network.Mode != network.ModeList {
		t.Errorf("got network mode %q, want %q", spec.Network.Mode, network.ModeList)
	}
}
