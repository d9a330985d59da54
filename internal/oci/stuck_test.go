//go:build linux

package oci

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// TestStuckShim cancels a start whose shim doesn't notice.
func TestStuckShim(t *testing.T) {
	dir := t.TempDir()
	shim := filepath.Join(dir, "shim")
	if err := os.WriteFile(shim, []byte("#!/bin/sh\nexec sleep 300\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := New(shim, filepath.Join(dir, "run"), nil)
	e.patience = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := e.Start(ctx, &engine.Spec{
		ID: "stuck", Image: engine.Image{Layers: []string{dir}}, Args: []string{"true"},
		Resources: engine.Resources{CPU: 1000, Memory: 64 << 20, Disk: 64 << 20, PIDs: 64},
		Network:   network.Policy{Mode: network.ModeNone},
	}, nil, engine.Streams{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(started), err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "run", "runs")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
