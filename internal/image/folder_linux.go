package image

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxImplied is the largest number of implied folders of a layer, whose record lists them, and of an image, since each start sets
// their owners.
const maxImplied = 10_000

// impliedMode is the mode of a folder that no tar lists.
const impliedMode = 0o755

// imply makes a folder and the folders above it, and notes those that the tar hasn't
// listed. Overlayfs shows a folder with the owner and mode of the uppermost layer, but
// those of an implied folder are in a layer below (image-spec, layer.md: a changeset has
// only what changed).
func (u *unpacker) imply(dir string) error {
	var made []string
	for at := dir; at != "." && at != "/"; at = path.Dir(at) {
		if _, err := u.root.Lstat(at); err == nil {
			break
		}
		if len(u.implied) == maxImplied {
			return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer doesn't list more than %d folders of its files", maxImplied)}
		}
		if u.implied == nil {
			u.implied = map[string]bool{}
		}
		u.implied[at] = true
		made = append(made, at)
	}
	if err := u.root.MkdirAll(dir, impliedMode); err != nil {
		return contained(err)
	}
	for _, at := range made {
		// An image must not depend on the umask of the user who pulls it.
		if err := u.root.Chmod(at, impliedMode); err != nil {
			return contained(err)
		}
	}
	return nil
}

// impliedFolders returns the implied folders that are still folders at the end of the tar.
func (u *unpacker) impliedFolders() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(u.implied)), func(dir string) bool {
		info, err := u.root.Lstat(dir)
		return err != nil || !info.IsDir()
	})
}

// folders returns the implied folders of an image, with the owner and mode that
// a layer below gives them. The layers are in order, lowest first.
func (s *Store) folders(layers []layerRecord, trees []treeRecord) ([]Folder, error) {
	var names []string
	implied := make([]map[string]bool, len(trees))
	for i, t := range trees {
		implied[i] = map[string]bool{}
		for _, name := range t.Implied {
			implied[i][name] = true
		}
		names = append(names, t.Implied...)
	}
	if len(names) == 0 {
		return nil, nil
	}
	roots := make([]*os.Root, len(layers))
	for i, l := range layers {
		root, err := os.OpenRoot(s.treePath(l.DiffID))
		if err != nil {
			return nil, err
		}
		defer root.Close()
		roots[i] = root
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxImplied {
		return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image doesn't list more than %d folders of its files", maxImplied)}
	}
	var out []Folder
	for _, name := range names {
		above := false // a layer above implies the folder
		for i := len(roots) - 1; i >= 0; i-- {
			info, last, err := s.inLayer(roots[i], name)
			if err != nil {
				return nil, err
			}
			if info != nil && !implied[i][name] {
				if st, ok := info.Sys().(*syscall.Stat_t); ok && above {
					out = append(out, Folder{Path: "/" + name, UID: int(st.Uid) - s.opts.FirstID, GID: int(st.Gid) - s.opts.FirstID, Mode: st.Mode & permissions})
				}
				break
			}
			above = above || info != nil
			if last {
				break
			}
		}
	}
	return out, nil
}

// inLayer returns a folder in one layer, or nil if the layer doesn't have it.
// last says that the layer hides the folder in the layers below.
func (s *Store) inLayer(root *os.Root, name string) (folder fs.FileInfo, last bool, err error) {
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		info, err := root.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, last, nil
		}
		if err != nil {
			return nil, false, err
		}
		if !info.IsDir() {
			return nil, true, nil // a whiteout, or a file with the folder's name
		}
		opaque, err := s.isOpaque(root, at)
		if err != nil {
			return nil, false, err
		}
		folder, last = info, last || opaque
	}
	return folder, last, nil
}

func (s *Store) isOpaque(root *os.Root, name string) (bool, error) {
	dir, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	_, err = unix.Fgetxattr(int(dir.Fd()), s.opaqueXattr(), nil)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return false, nil
	}
	return err == nil, err
}

// opaqueXattr returns the extended attribute that makes a directory opaque.
func (s *Store) opaqueXattr() string {
	if s.opts.UserXattr {
		return "user.overlay.opaque"
	}
	return "trusted.overlay.opaque"
}
