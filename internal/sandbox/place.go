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

// ownPlace is one of the tool's folders: its path in the sandbox, and on the host.
type ownPlace struct{ dir, host string }

// writableVolumes returns the folders that are mounted writable.
func writableVolumes(mounts []specs.Mount) []ownPlace {
	var all []ownPlace
	for _, m := range mounts {
		if info, err := os.Lstat(m.Source); err == nil && info.IsDir() && slices.Contains(m.Options, "rw") {
			all = append(all, ownPlace{m.Destination, m.Source})
		}
	}
	return all
}

// within reports whether a folder of the sandbox is parent or below it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// innermost returns the innermost place that contains dir, if any.
func innermost(places []ownPlace, dir string) (in ownPlace, found bool) {
	for _, p := range places {
		if within(dir, p.dir) && len(p.dir) > len(in.dir) {
			in = p
		}
	}
	return in, in.dir != ""
}

// makeParents makes a folder and its missing parents in the sandbox. Folders in
// one of the tool's places belong to the tool, because a tool may write beside a
// mounted file, as kubectl does beside ~/.kube/config.
func (r *rootfs) makeParents(places []ownPlace, dir string) error {
	in, found := innermost(places, dir)
	if !found {
		_, err := r.mkdirAll(dir)
		return err
	}
	// An earlier run may have saved the content of the place, so follow no link out of it.
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
				_, err := r.mkdirAll(dir) // a link to another place of the image, or not a folder
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

// checkInVolumes refuses a home or working directory below a volume if a link in
// the volume, which the tool's files or an earlier run may contain, leads out of
// it.
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

// kernelDirs are the directories that the sandbox mounts over its image. The
// kernel, not the image, decides what a path or a link into them means:
// /proc/self/fd/N is a file that the runtime has open (CVE-2024-21626).
var kernelDirs = []string{"/proc", "/sys", "/dev"}

// checkPlaces checks every path that Mayfly makes or mounts something on.
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

// checkPlace refuses a directory or mount point in the kernel's file systems,
// both by its path and after following the image's links. /dev/shm is allowed.
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
