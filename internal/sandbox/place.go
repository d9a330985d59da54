package sandbox

import (
	"path"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// kernelDirs are mounted by the sandbox itself after its image. What an image
// has there, and what a link to there means, is decided by the kernel and not
// by the image: /proc/self/fd/N is whatever the runtime has open
// (CVE-2024-21626).
var kernelDirs = []string{"/proc", "/sys", "/dev"}

// checkPlaces checks every path that Mayfly makes or mounts on.
func (r *rootfs) checkPlaces(spec *engine.Spec) error {
	if err := r.checkPlace("working directory", r.workdir); err != nil {
		return err
	}
	if err := r.checkPlace("home directory", r.home); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := r.checkPlace("volume", m.Target); err != nil {
			return err
		}
	}
	return r.checkPlace("path", outputPath)
}

// checkPlace refuses a directory or mount point in the kernel's own file
// systems, as it is written or where the image's links lead. /dev/shm is the
// tool's.
func (r *rootfs) checkPlace(field, at string) error {
	if !path.IsAbs(at) {
		return &engine.InvalidError{Field: field + " " + at, Why: "it is not an absolute path"}
	}
	host, err := r.inRoot(at)
	if err != nil {
		return err
	}
	for _, p := range []string{path.Clean(at), path.Clean("/" + strings.TrimPrefix(host, r.root))} {
		if p == "/dev/shm" || strings.HasPrefix(p, "/dev/shm/") {
			continue
		}
		for _, dir := range kernelDirs {
			if p == dir || strings.HasPrefix(p, dir+"/") {
				return &engine.InvalidError{Field: field + " " + at, Why: "it is in " + dir + ", which belongs to the sandbox"}
			}
		}
	}
	return nil
}
