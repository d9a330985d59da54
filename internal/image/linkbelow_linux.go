package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// noteLink notes a link, and makes a placeholder with its name, which later entries may replace or link to. The placeholder is a
// symbolic link with a random target, which no layer can predict.
func (u *unpacker) noteLink(name, target string) error {
	if u.linkBytes += len(name) + len(target); len(u.links) == maxLinksBelow || u.linkBytes > maxLinkBytes {
		return tooManyLinks("layer")
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		// The layer of links would replace the symbolic link with a folder.
		if info, err := u.root.Lstat(dir); err == nil && !info.IsDir() {
			return &Error{
				Kind: ErrMalformed, Msg: fmt.Sprintf("hard link to %q of a layer below, in a folder that is a symbolic link, %q", target, dir),
				Hint: "create both names in one build step, or copy the file",
			}
		}
	}
	if u.linkMark == "" {
		u.linkMark = rand.Text()
	}
	text := u.linkMark + "/" + strconv.Itoa(len(u.links))
	u.links = append(u.links, linkBelow{name, target})
	_, err := u.create(name, func(dirfd int, base string) error { return unix.Symlinkat(text, dirfd, base) })
	return err
}

// notedLink returns the target of the link whose placeholder is at base. ok is false if there is no placeholder.
func (u *unpacker) notedLink(dirfd int, base string) (target string, ok bool) {
	if u.linkMark == "" {
		return "", false
	}
	buf := make([]byte, len(u.linkMark)+20)
	n, err := unix.Readlinkat(dirfd, base, buf)
	if err != nil {
		return "", false
	}
	number, ok := strings.CutPrefix(string(buf[:n]), u.linkMark+"/")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i >= len(u.links) {
		return "", false
	}
	return u.links[i].Target, true
}

// linksBelow removes the placeholders that are left at the end of the tar, and returns their links.
func (u *unpacker) linksBelow() ([]linkBelow, error) {
	var kept []linkBelow
	for i, l := range u.links {
		if text, err := u.root.Readlink(l.Name); err != nil || text != u.linkMark+"/"+strconv.Itoa(i) {
			continue
		}
		if err := u.root.Remove(l.Name); err != nil {
			return nil, err
		}
		kept = append(kept, l)
	}
	return kept, nil
}

func tooManyLinks(of string) error {
	return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("%s has more than %d hard links to files of layers below, or more than %d bytes of their names", of, maxLinksBelow, maxLinkBytes)}
}

func noSuchTarget(l linkBelow) error {
	return &Error{
		Kind: ErrMalformed, Msg: fmt.Sprintf("hard link %q to %q, which is neither earlier in its layer nor in a layer below", l.Name, l.Target),
		Hint: "create both names in one build step, or copy the file",
	}
}

// addLinkLayers returns an image's layers and trees with the layers of links, each above the layer that has the links.
func (s *Store) addLinkLayers(ctx context.Context, w *workDir, layers []layerRecord, trees []treeRecord) ([]layerRecord, []treeRecord, error) {
	links := 0
	for _, t := range trees {
		if links += len(t.LinksBelow); links > maxLinksBelow {
			return nil, nil, tooManyLinks("image")
		}
	}
	var outLayers []layerRecord
	var outTrees []treeRecord
	var diffs []v1.Hash
	for i, l := range layers {
		diffs = append(diffs, l.DiffID)
		outLayers, outTrees = append(outLayers, l), append(outTrees, trees[i])
		if len(trees[i].LinksBelow) == 0 {
			continue
		}
		id := linkLayerID(diffs)
		tree, there, err := s.readTree(id)
		if err == nil && !there {
			tree, err = s.makeLinkLayer(ctx, w, id, outLayers, trees[i].LinksBelow)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		outLayers, outTrees = append(outLayers, layerRecord{DiffID: id, Digest: l.Digest}), append(outTrees, tree)
	}
	if len(outLayers) > s.opts.Limits.Layers {
		return nil, nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image has %d layers, including those for hard links to layers below; the limit is %d", len(outLayers), s.opts.Limits.Layers)}
	}
	return outLayers, outTrees, nil
}

func (s *Store) makeLinkLayer(ctx context.Context, w *workDir, id v1.Hash, layers []layerRecord, links []linkBelow) (rec treeRecord, err error) {
	dir, err := os.MkdirTemp(w.path, "links-")
	if err != nil {
		return rec, noSpace(err)
	}
	defer func() { err = errors.Join(err, removeTree(dir)) }()
	layer := filepath.Join(dir, "layer")
	if rec, err = s.fillLinkLayer(ctx, filepath.Join(layer, "tree"), layers, links); err != nil {
		return rec, noSpace(err)
	}
	rec.DiffID = id
	data, err := json.Marshal(rec)
	if err != nil {
		return rec, err
	}
	if err := os.WriteFile(filepath.Join(layer, "layer.json"), data, 0o600); err != nil {
		return rec, noSpace(err)
	}
	if !s.opts.NoSync {
		if err := syncTree(layer); err != nil {
			return rec, err
		}
	}
	err = s.rename(layer, s.layerPath(id))
	// Another pull may have made the layer first.
	if _, there, readErr := s.readTree(id); err != nil && readErr == nil && there {
		err = nil
	}
	return rec, err
}

func (s *Store) fillLinkLayer(ctx context.Context, tree string, layers []layerRecord, links []linkBelow) (rec treeRecord, err error) {
	roots := make([]*os.Root, len(layers))
	for i, l := range layers {
		if roots[i], err = os.OpenRoot(s.treePath(l.DiffID)); err != nil {
			return rec, err
		}
		defer roots[i].Close()
	}
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return rec, err
	}
	if err := likeRoot(tree, roots[len(roots)-1]); err != nil {
		return rec, err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return rec, err
	}
	defer root.Close()
	folders := &unpacker{root: root}
	below := &layersBelow{s: s, roots: roots, folders: map[folderOf]folderIn{}}
	for _, l := range links {
		if ctx.Err() != nil {
			return rec, context.Cause(ctx)
		}
		from, err := below.find(l)
		if err != nil {
			return rec, err
		}
		fd, err := folders.in(path.Dir(l.Name))
		if err == nil {
			err = unix.Linkat(int(from.Fd()), path.Base(l.Target), fd, path.Base(l.Name), 0)
		}
		from.Close()
		if err != nil {
			folders.forgetParent()
			return rec, fmt.Errorf("link %q to %q: %w", l.Name, l.Target, err)
		}
	}
	folders.forgetParent()
	return treeRecord{Entries: int64(len(links)), Implied: folders.impliedFolders()}, nil
}

// likeRoot sets the owner and mode of a tree's root to those of the layer below, since overlayfs shows the uppermost root.
func likeRoot(tree string, below *os.Root) error {
	dir, err := below.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if err := os.Chown(tree, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(tree, st.Mode&permissions)
}

// layersBelow are the layers in which targets of links are searched, lowest first. The last is the layer that has the links: its own
// files aren't targets, but it may hide files below.
type layersBelow struct {
	s       *Store
	roots   []*os.Root
	folders map[folderOf]folderIn // a cache
}

type folderOf struct {
	layer int
	dir   string
}

// folderIn says whether a layer has a folder, and whether it hides the folder in the layers below.
type folderIn struct{ there, hides bool }

func (b *layersBelow) folder(layer int, dir string) (folderIn, error) {
	key := folderOf{layer, dir}
	if known, ok := b.folders[key]; ok {
		return known, nil
	}
	info, hides, err := b.s.inLayer(b.roots[layer], dir)
	if err != nil {
		return folderIn{}, err
	}
	b.folders[key] = folderIn{info != nil, hides}
	return b.folders[key], nil
}

// find returns the open folder of a link's target, in the uppermost layer that has it. It finds only files and symbolic links, and
// doesn't follow symbolic links.
func (b *layersBelow) find(l linkBelow) (*os.File, error) {
	dir, own := path.Dir(l.Target), len(b.roots)-1
	for i := own; i >= 0; i-- {
		in, err := b.folder(i, dir)
		if err != nil {
			return nil, err
		}
		if in.there && i < own {
			info, err := b.roots[i].Lstat(l.Target)
			if err == nil && (info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0) {
				return b.roots[i].OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
			}
			if err == nil { // a whiteout, or not a file
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		if in.hides {
			break
		}
	}
	return nil, noSuchTarget(l)
}
