//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/internal/run"
)

// engineRate runs true n times, 16 at a time, all from this process, and returns the runs per second.
func (b *bench) engineRate(n int) (float64, error) {
	store, err := image.Open(filepath.Join(os.Getenv("MAYFLY_HOME"), "images"), image.Options{})
	if err != nil {
		return 0, err
	}
	img, err := store.Lookup("mayfly/busybox")
	if err != nil {
		return 0, err
	}
	spec := engine.Spec{
		Args: []string{"true"}, Network: network.Policy{Mode: network.ModeOpen},
		Resources: engine.Resources{CPU: 1000, Memory: 512 << 20, Disk: 1 << 30, PIDs: 512},
	}
	var local engine.Local
	for _, l := range img.Layers {
		local.Image.Layers = append(local.Image.Layers, l.Path)
	}
	e := oci.New(filepath.Join(b.bin, "mayfly-shim"), "/run/mayfly", nil)
	return rate(n, func() error {
		s := spec
		s.ID = run.NewID()
		sandbox, err := e.Start(context.Background(), &s, local, engine.Streams{})
		if err != nil {
			return err
		}
		for range sandbox.Events() {
		}
		exit, err := sandbox.Wait()
		if err != nil {
			return err
		}
		if exit.Code != 0 {
			return fmt.Errorf("exit status %d", exit.Code)
		}
		return sandbox.Close()
	})
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
