package sandbox

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// imageFiles are the paths in the sandbox of the image's files and links whose name is wanted. What the sandbox or the
// tool mounts over is left out, and no link is followed. Nothing of the tool runs yet, so nothing moves meanwhile.
func (r *rootfs) imageFiles(wanted func(name string) bool) ([]string, error) {
	covered := append([]string{"/tmp", path.Dir(commandsDir)}, kernelDirs...)
	var found []string
	err := filepath.WalkDir(r.root, func(host string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := "/" + strings.TrimPrefix(strings.TrimPrefix(host, r.root), "/")
		switch {
		case slices.Contains(covered, at) || r.onToolMount(at):
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir() && wanted(d.Name()):
			found = append(found, at)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look through the image's files: %w", err)
	}
	return found, nil
}
