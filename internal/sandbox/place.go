package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// ownPlace is a folder of the tool's: where it is in the sandbox, and on the host.
type ownPlace struct{ dir, host string }

// writableVolumes are the folders that are mounted for the tool to write to.
func writableVolumes(mounts []specs.Mount) []ownPlace {
	var all []ownPlace
	for _, m := range mounts {
		if info, err := os.Lstat(m.Source); err == nil && info.IsDir() && slices.Contains(m.Options, "rw") {
			all = append(all, ownPlace{m.Destination, m.Source})
		}
	}
	return all
}

// within says whether a folder of the sandbox is parent or below it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// innermost is the one of places that dir is in, if any.
func innermost(places []ownPlace, dir string) (in ownPlace, found bool) {
	for _, p := range places {
		if within(dir, p.dir) && len(p.dir) > len(in.dir) {
			in = p
		}
	}
	return in, in.dir != ""
}

// makeParents makes a folder and its missing parents in the sandbox. Those that
// are in a place of the tool's belong to the tool: it writes beside what is
// mounted there, as kubectl does beside ~/.kube/config.
func (r *rootfs) makeParents(places []ownPlace, dir string) error {
	in, found := innermost(places, dir)
	if !found {
		_, err := r.mkdirAll(dir)
		return err
	}
	// What is there may have been saved by a run: no link leads out of it.
	root, err := os.OpenRoot(in.host)
	if err != nil {
		return err
	}
	defer root.Close()
	uid, gid := r.user.hostIDs(r.firstID)
	at := ""
	for part := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(dir, in.dir), "/"), "/") {
		if part == "" {
			continue
		}
		at = path.Join(at, part)
		err := root.Mkdir(at, 0o755)
		switch {
		case errors.Is(err, fs.ErrExist):
			if info, err := root.Stat(at); err != nil || !info.IsDir() {
				_, err := r.mkdirAll(dir) // a link that leads elsewhere in the image, or no folder
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("make %s in the sandbox: %w", path.Join(in.dir, at), err)
		}
		if err := root.Lchown(at, uid, gid); err != nil {
			return fmt.Errorf("make %s in the sandbox: %w", path.Join(in.dir, at), err)
		}
	}
	return nil
}

// checkInVolumes refuses a home or working directory below a volume that a link
// there, which the tool or an earlier run left, leads out of the volume.
func (r *rootfs) checkInVolumes() error {
	for field, dir := range map[string]string{"working directory": r.workdir, "home directory": r.home} {
		in, found := innermost(r.mounted, dir)
		if !found || dir == in.dir {
			continue
		}
		root, err := os.OpenRoot(in.host)
		if err != nil {
			return err
		}
		info, err := root.Stat(strings.TrimPrefix(dir, in.dir+"/"))
		_ = root.Close()
		if err != nil || !info.IsDir() {
			return &engine.InvalidError{Field: field + " " + dir, Why: "it isn't a folder of the volume " + in.dir + ", or a link there leads out of the volume; set it to a folder of the volume"}
		}
	}
	return nil
}

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
