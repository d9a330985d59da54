//go:build linux

package oci_test

import (
	"fmt"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestManyLayers runs an image with the largest allowed number of layers; the last layer is the uppermost.
func TestManyLayers(t *testing.T) {
	layers := [][]byte{imagetest.BusyboxLayer(t)}
	for i := len(layers); i < 127; i++ {
		layers = append(layers, imagetest.Tar(t,
			imagetest.File{Name: "last", Body: fmt.Sprint(i)}, imagetest.File{Name: fmt.Sprintf("f%d", i)}))
	}
	h := testbed.Harness(t, testbed.Unpack(t, imagetest.Config{}, layers...))
	spec := h.Spec(enginetest.Program{Shell: `[ "$(cat /last)" = 126 ] && [ "$(ls / | grep -c '^f[0-9]')" = 126 ]`}, "")
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Events() {
	}
	if exit, err := s.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("got %+v, %v, want exit status 0", exit, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
