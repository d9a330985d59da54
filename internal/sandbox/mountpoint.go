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
// additional software (Filesystem Hierarchy Standard 3.0, chapter 3).
var mountPoints = []string{"/mnt", "/media", "/srv", "/opt", "/tmp"}

// mountPoint returns the directory that the sandbox is mounted on, only in this
// mount namespace. The sandbox's ids must be able to search every directory of
// its path, because the sandbox's first process sets up its mounts with one of
// these ids.
//
// For root it is in the run's directory. An ordinary user's run directory is
// below folders that are rightly closed to other ids. So the sandbox covers a
// directory that all users may search and that has nothing that the run needs.
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

// freeMountPoint returns the first of the directories that contains none of the
// needed paths, or "".
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

// neededPaths returns the paths of the host that the shim uses after the sandbox
// is mounted, with links resolved.
func neededPaths(start *wire.Start) ([]string, error) {
	local := &start.Local
	paths := []string{start.Dir, local.Image.HoldFile, local.Connections, local.Commands}
	for _, l := range local.Image.Layers {
		paths = append(paths, filepath.Dir(filepath.Dir(l))) // the store's folder of layers
	}
	paths = slices.AppendSeq(paths, maps.Values(local.Folders))
	if self, err := os.Executable(); err == nil { // the program of mocked commands
		paths = append(paths, self)
	}
	slices.Sort(paths)
	paths = slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return p == "" })
	for i, p := range paths {
		there, err := filepath.EvalSymlinks(p)
		for errors.Is(err, fs.ErrNotExist) && p != "/" { // such as the folder of a first cache
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
