//go:build linux

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/internal/run"
)

// engineRate runs true n times, 16 at a time, from this one process.
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
	for _, l := range img.Layers {
		spec.Image.Layers = append(spec.Image.Layers, l.Path)
	}
	e := oci.New(filepath.Join(b.bin, "mayfly-shim"), "/run/mayfly", nil)
	return rate(n, func() error {
		s := spec
		s.ID = run.NewID()
		sandbox, err := e.Start(context.Background(), &s, nil, engine.Streams{})
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

// pushArchive pushes the image of an OCI-layout tar to a registry.
func pushArchive(archive, ref string) error {
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := untar(archive, dir); err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return err
	}
	to, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	return remote.Write(to, img)
}

// untar unpacks an archive of our own.
func untar(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := tar.NewReader(f)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if h.Typeflag == tar.TypeDir {
			err = root.MkdirAll(name, 0o700)
		} else {
			if err = root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return err
			}
			var out *os.File
			if out, err = root.Create(name); err == nil {
				_, err = io.Copy(out, in)
				if err2 := out.Close(); err == nil {
					err = err2
				}
			}
		}
		if err != nil {
			return err
		}
	}
}
