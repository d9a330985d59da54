package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// mountPoints are directories that every Linux system has for mounts or for
// what is added to it (Filesystem Hierarchy Standard 3.0, chapter 3).
var mountPoints = []string{"/mnt", "/media", "/srv", "/opt", "/tmp"}

// mountPoint is the directory that the sandbox is mounted on, in this mount
// namespace alone. The sandbox's ids have to search every directory down to it:
// its first process sets up its mounts as one of them.
//
// Root's is the run's directory. An ordinary user's lies where nobody else may
// pass, as it should, so the sandbox covers one that all may search and that
// the run needs nothing of.
func mountPoint(start *wire.Start) (string, error) {
	if !start.Rootless {
		return filepath.Join(start.Dir, "root"), nil
	}
	needed, err := neededPaths(start)
	if err != nil {
		return "", err
	}
	if at := freeMountPoint(mountPoints, needed); at != "" {
		return at, nil
	}
	return "", &engine.Unsupported{
		Feature: "rootless run",
		Why:     "the sandbox is mounted over one of " + strings.Join(mountPoints, ", ") + ", and each is missing or has files that the run needs",
		Remedy:  "as root: mkdir /mnt, or keep MAYFLY_HOME and the tool's files elsewhere",
	}
}

// freeMountPoint is the first of the directories that none of the paths lies
// in, or "".
func freeMountPoint(points, needed []string) string {
	for _, point := range points {
		at, err := filepath.EvalSymlinks(point)
		if err != nil {
			continue
		}
		below := func(path string) bool { return strings.HasPrefix(path+"/", at+"/") }
		if info, err := os.Stat(at); err == nil && info.IsDir() && !slices.ContainsFunc(needed, below) {
			return at
		}
	}
	return ""
}

// neededPaths are the files of the host that the shim looks at after the
// sandbox is mounted, links in them followed.
func neededPaths(start *wire.Start) ([]string, error) {
	local := &start.Local
	paths := []string{start.Dir, local.Image.HoldFile, local.Connections, local.Commands}
	for _, l := range local.Image.Layers {
		paths = append(paths, filepath.Dir(filepath.Dir(l))) // the store's folder of layers
	}
	paths = slices.AppendSeq(paths, maps.Values(local.Folders))
	if self, err := os.Executable(); err == nil { // what stands for mocked commands
		paths = append(paths, self)
	}
	slices.Sort(paths)
	paths = slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return p == "" })
	for i, p := range paths {
		there, err := filepath.EvalSymlinks(p)
		for errors.Is(err, fs.ErrNotExist) && p != "/" { // the folder of the first cache, say
			p = filepath.Dir(p)
			there, err = filepath.EvalSymlinks(p)
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", p, err)
		}
		paths[i] = there
	}
	return paths, nil
}
