package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// imageFiles returns the paths in the sandbox at which a layer of the image has a file or link whose name is wanted, each
// once. An upper layer may have something else at the path. Paths below mounts of the sandbox or the tool are left out, and
// no link is followed.
//
// It reads the layers and not their overlay, because the kernel's caches of the layers are kept from run to run.
func (r *rootfs) imageFiles(wanted func(name string) bool) ([]string, error) {
	w := walk{rootfs: r, wanted: wanted, seen: map[string]bool{}}
	for i := range r.layers {
		w.layer = filepath.Join(r.dir, "lower", strconv.Itoa(i))
		if err := w.folder("/"); err != nil {
			return nil, fmt.Errorf("look through the image's files: %w", err)
		}
	}
	return w.found, nil
}

type walk struct {
	*rootfs
	layer  string
	wanted func(name string) bool
	seen   map[string]bool
	found  []string
}

func (w *walk) folder(dir string) error {
	f, err := os.Open(w.layer + dir)
	if errors.Is(err, unix.ENAMETOOLONG) {
		return nil // no reason to refuse an image: hardly any program uses such a path
	}
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1) // unsorted: sorting takes longer than reading
	f.Close()
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		switch {
		case w.covered(at):
		case e.IsDir():
			if err := w.folder(at); err != nil {
				return err
			}
		case w.wanted(e.Name()) && !w.seen[at]:
			w.seen[at] = true
			w.found = append(w.found, at)
		}
	}
	return nil
}

// documentation lists folders without programs and certificates (FHS section 4.11). They contain a third of the folders of a
// Debian image.
var documentation = []string{"/usr/share/doc", "/usr/share/info", "/usr/share/locale", "/usr/share/man", "/usr/share/zoneinfo"}

// covered reports whether a path can be skipped: it is below a mount, or contains only documentation.
func (w *walk) covered(at string) bool {
	return at == "/tmp" || at == path.Dir(commandsDir) || slices.Contains(kernelDirs, at) || slices.Contains(documentation, at) || w.onToolMount(at)
}
