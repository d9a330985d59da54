package enginetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// testProcessor holds on a machine of any speed: a tool with less of a processor uses less of the time that passes.
func testProcessor(t *testing.T, h *Harness) {
	spec := h.Spec(Compute, "3")
	spec.Resources.CPU = 200
	r := h.run(t, spec, nil, nil)
	passed := r.exit.Finished.Sub(r.exit.Started).Seconds()
	if used := r.exit.Usage.CPUSeconds; r.exit.Code != 0 || used <= 0 || used > passed*0.4 {
		t.Errorf("with a fifth of a processor it used %.2f s of one in %.2f s; exit status %d", used, passed, r.exit.Code)
	}
}

func testMemory(t *testing.T, h *Harness) {
	spec := h.Spec(Allocate, fmt.Sprint(1<<30))
	spec.Resources.Memory = 128 << 20
	if r := h.run(t, spec, nil, nil); !r.exit.OutOfMemory || r.exit.Code == 0 || strings.Contains(r.stdout, "1073741824") {
		t.Errorf("1 GiB of 128 MiB: %+v", r)
	}
	if r := h.run(t, h.Spec(Allocate, fmt.Sprint(1<<20)), nil, nil); r.exit.OutOfMemory || r.exit.Code != 0 {
		t.Errorf("1 MiB of 256: %+v", r)
	}
}

func testDisk(t *testing.T, h *Harness) {
	spec := h.Spec(Fill, fmt.Sprint("/tmp/f ", 32<<20))
	spec.Resources.Disk = 16 << 20
	if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
		t.Errorf("32 MiB of 16 were written: %+v", r)
	}
	spec = h.Spec(Fill, fmt.Sprint("/tmp/f ", 8<<20))
	spec.Resources.Disk = 16 << 20
	if r := h.run(t, spec, nil, nil); r.exit.Code != 0 {
		t.Errorf("8 MiB of 16: %+v", r)
	}
}

func testProcesses(t *testing.T, h *Harness) {
	spec := h.Spec(Fork, "100")
	spec.Resources.PIDs = 32 + h.OwnProcesses
	if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
		t.Errorf("100 processes of 32 were started: %+v", r)
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
			t.Errorf("nofile %d and %d: %q, want %q", c.noFile, c.most, r.stdout, c.want)
		}
	}
}

// testBandwidth takes at least as long as the limit says, on a machine of any speed.
func testBandwidth(t *testing.T, h *Harness) {
	const size = 2 << 20
	server := h.serve(t, strings.Repeat("x", size))
	spec := h.Spec(Reach, server.target())
	spec.Network = server.policy()
	spec.Resources.Bandwidth = 8 * size / 2 // two seconds, except for what may come at once
	r := h.run(t, spec, nil, nil)
	if took := r.exit.Finished.Sub(r.exit.Started); len(r.stdout) != size || took < time.Second {
		t.Errorf("%d bytes of %d in %v: %s", len(r.stdout), size, took, r.stderr)
	}
	if spec.Network.Mode != network.ModeList {
		t.Error("the server is reached by a rule")
	}
}
