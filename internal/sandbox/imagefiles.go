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

// imageFiles are the paths in the sandbox at which a layer of the image has a file or link whose name is wanted, each
// once; an upper layer may have something else there. What the sandbox or the tool mounts over is left out, and no link
// is followed.
//
// The layers are looked through and not their overlay: what the kernel knows of them stays from run to run.
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
		return nil // which hardly anybody reaches, and is not a reason to refuse an image
	}
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1) // in no order: sorting takes longer than reading
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

// documentation holds neither programs nor certificates (FHS section 4.11), and a third of a Debian image's folders.
var documentation = []string{"/usr/share/doc", "/usr/share/info", "/usr/share/locale", "/usr/share/man", "/usr/share/zoneinfo"}

// covered reports whether a path needs no look: the tool finds something else there, or it holds only documentation.
func (w *walk) covered(at string) bool {
	return at == "/tmp" || at == path.Dir(commandsDir) || slices.Contains(kernelDirs, at) || slices.Contains(documentation, at) || w.onToolMount(at)
}
