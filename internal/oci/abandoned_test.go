//go:build linux

package oci_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestMayflyDiesAfterTheExit: if mayfly is killed after the shim has reported the exit, but before mayfly has removed the run's
// directory, the shim removes it.
func TestMayflyDiesAfterTheExit(t *testing.T) {
	h := testbed.Harness(t, testbed.Busybox(t))
	spec := h.Spec(enginetest.Exit, "0")
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Events() {
	}
	if _, err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("/run/mayfly/runs", spec.ID)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := oci.Die(s); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(testbed.Patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the directory still exists")
			break
		}
	}
	if err := s.Close(); err != nil { // frees what this process has, which a killed mayfly wouldn't need
		t.Error(err)
	}
}
