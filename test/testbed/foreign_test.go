//go:build linux

package testbed

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/oci"
)

// TestLeftovers checks that Leftovers finds everything that a run of the tests' programs has, and nothing of the same run as
// long as the programs don't belong to the tests.
func TestLeftovers(t *testing.T) {
	programs := t.TempDir()
	shim := filepath.Join(programs, "mayfly-shim")
	CopyProgram(t, filepath.Join(Bin(t), "mayfly-shim"), shim)
	h := HarnessOf(oci.New(shim, "/run/mayfly", nil), Busybox(t))
	spec := h.Spec(enginetest.Sleep, "")
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	count := func() map[string]int {
		t.Helper()
		found, err := Leftovers()
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]int{}
		for what := range found {
			kind, _, _ := strings.Cut(what, " ")
			if kind == "process" || strings.Contains(what, spec.ID) {
				of[kind]++
			}
		}
		return of
	}
	if of := count(); len(of) != 0 {
		t.Errorf("of a foreign run: %v, want nothing", of)
	}
	OwnPrograms(programs)
	// The shim, the holder and the tool; the run's cgroups; its directory.
	if of := count(); of["process"] < 3 || of["cgroup"] < 2 || of["directory"] != 1 {
		t.Errorf("of a run of the tests: %v", of)
	}
	if !own(filepath.Join(Bin(t), "mayfly-shim"), Bin(t)) || own("/usr/bin/mayfly-shim", Bin(t)) {
		t.Error("the built programs don't belong to the tests, or those of the host do")
	}
}

func TestRunOf(t *testing.T) {
	for cgroup, want := range map[string]string{
		"9:memory:/mayfly/x.shim\n8:cpu:/\n":                                     "x",
		"9:memory:/\n8:cpu:/mayfly/x\n":                                          "x",
		"0::/mayfly-1000/attempt-3\n":                                            "attempt-3",
		"0::/user.slice/run-1.scope/0a1b2c3d-0000-4000-8000-0123456789ab.shim\n": "0a1b2c3d-0000-4000-8000-0123456789ab",
		"0::/mayfly-test-1234\n":                                                 "",
		"0::/user.slice/run-1.scope/mayfly\n":                                    "",
		"0::/system.slice/mayfly.service\n":                                      "",
	} {
		if got := runOf(cgroup); got != want {
			t.Errorf("%q: got %q, want %q", cgroup, got, want)
		}
	}
}
