package local

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// A run may execute what it finds in a cache, while it has its secrets. So a cache belongs to a project, a tool and an image:
// anyone can choose the same names, also in a file that comes from elsewhere.

// ProjectOf returns the project of a definition in a folder of this machine: that folder, with symbolic links resolved. A
// definition that isn't in a file (dir is empty) belongs to the working directory, but not to the project of the files there.
func ProjectOf(dir string) (string, error) {
	kind := "folder "
	if dir == "" {
		kind, dir = "stdin in ", "."
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("find the folder that the caches belong to: %w", err)
	}
	return kind + abs, nil
}

// projectOf returns the project whose caches a run uses, or "" for a run without caches, since the folder of a tool from
// elsewhere isn't here. A test has its own caches: what mocks have answered must not get into a real run.
func projectOf(req *run.Request) (string, error) {
	if !slices.ContainsFunc(req.Tool.Volumes, func(v tool.Volume) bool { return v.Cache != "" }) {
		return "", nil
	}
	p := req.Project
	var err error
	if p == "" {
		p, err = ProjectOf(req.Tool.Source.Dir)
	}
	if req.Mocks != nil {
		p = "test of " + p
	}
	return p, err
}

// cachePath returns the path of a cache below the directory of caches, without the .tar: names that people know, and a hash
// of everything that the cache belongs to. The hash is so long that nobody can find another project with the same one.
func cachePath(project string, t *tool.Tool, cache string, img *image.Image) (string, error) {
	repository, err := image.Repository(cmp.Or(img.Canonical, img.Reference))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", project, t.Name, cache, repository))
	return path.Join(t.Name, cache, hex.EncodeToString(sum[:16])), nil
}

// DropNamedCaches removes the caches that earlier versions kept under a tool's name alone, and returns their names. No run
// uses them: anyone who chose that name may have written them.
func DropNamedCaches(caches string, t *tool.Tool) (dropped []string, err error) {
	for _, v := range t.Volumes {
		if v.Cache == "" {
			continue
		}
		e := os.Remove(filepath.Join(caches, t.Name, v.Cache+".tar"))
		if e == nil {
			dropped = append(dropped, v.Cache)
		} else if !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return dropped, err
}
