package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// unpacker applies one layer's tar to an empty directory.
//
// Two steps keep it inside the directory, whatever the tar contains. First it opens the parent directory of an entry through os.Root,
// which follows a symbolic link of the layer only inside the directory. Then it works on a single name in that open directory, with
// calls that don't follow links (openat with O_NOFOLLOW|O_EXCL, fchownat and utimensat with AT_SYMLINK_NOFOLLOW). The directory is
// in tmp, where no other process writes.
type unpacker struct {
	root   *os.Root
	lim    Limits
	image  *imageBudget
	opaque string // the extended attribute that makes a directory opaque
	// firstID is the stored id for id 0 of the image.
	firstID int

	parent     *os.File // the directory of the last entry, which is usually that of the next entry too
	parentPath string

	dirs      []dirTime       // times of directories, which are set last because adding entries changes them
	dirBytes  int             // size of the names in dirs
	implied   map[string]bool // see imply
	links     []linkBelow     // see noteLink
	linkBytes int             // size of the names in links
	linkMark  string          // the prefix of the placeholders of links
	rec       treeRecord
	buf       []byte // for copying
}

type dirTime struct {
	path  string
	mtime unix.Timespec
}

// unpackTar unpacks the tar in r to the empty directory dir, and returns the record of the tree. It reads r only up to the end of the
// tar.
func (s *Store) unpackTar(ctx context.Context, r io.Reader, dir string, image *imageBudget) (rec treeRecord, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return treeRecord{}, fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	u := &unpacker{root: root, lim: s.opts.Limits, image: image, opaque: s.opaqueXattr(), buf: make([]byte, 128<<10)}
	u.firstID = s.opts.FirstID
	defer u.forgetParent()
	defer func() {
		if err != nil {
			image.left.Add(u.rec.Bytes) // the caller may try another mirror
		}
	}()
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return treeRecord{}, context.Cause(ctx)
		}
		h, err := tr.Next()
		if err == io.EOF {
			links, err := u.linksBelow()
			if err != nil {
				return treeRecord{}, fmt.Errorf("unpack: %w", err)
			}
			u.rec.LinksBelow, u.rec.Implied = links, u.impliedFolders()
			return u.rec, u.setDirTimes()
		}
		if err != nil {
			return treeRecord{}, tarError(err)
		}
		if err := u.entry(h, tr); err != nil {
			return treeRecord{}, fmt.Errorf("unpack %q: %w", h.Name, noSpace(err))
		}
	}
}

// entry unpacks one entry.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if u.rec.Entries++; u.rec.Entries > u.lim.LayerEntries {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer has more than %d entries", u.lim.LayerEntries)}
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // defaults for the next headers, which archive/tar doesn't apply and layers don't use
	}
	name, err := cleanName(h.Name, u.lim.PathDepth)
	if err != nil {
		return err
	}
	kind, hidden, err := readWhiteout(name, h.Typeflag)
	if err != nil || kind == leftover {
		return err
	}
	if h.Uid < 0 || h.Gid < 0 {
		return hostile("owner %d:%d is negative", h.Uid, h.Gid)
	}
	for _, id := range []*int{&h.Uid, &h.Gid} {
		if *id > maxID {
			*id = overflowID // the id that a user namespace shows for one that it can't map
		}
	}
	h.Uid, h.Gid = h.Uid+u.firstID, h.Gid+u.firstID
	if kind != hidesNothing {
		return u.whiteout(path.Dir(name), kind, hidden)
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return hostile("the layer's root is not a directory")
		}
		return u.rootDir(h)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return u.file(name, h, content)
	case tar.TypeDir:
		return u.directory(name, h)
	case tar.TypeSymlink:
		return u.symlink(name, h)
	case tar.TypeLink:
		return u.hardLink(name, h)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		// A sandbox gets its devices from the engine. A 0/0 character device would also be a forged whiteout.
		u.rec.Dropped++
		return nil
	default:
		return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("tar entry of unknown type %q", h.Typeflag)}
	}
}

// in returns the open directory of an entry, and makes it if the tar hasn't listed it. The unpacker owns the descriptor.
func (u *unpacker) in(dir string) (int, error) {
	if u.parent != nil && u.parentPath == dir {
		return int(u.parent.Fd()), nil
	}
	f, err := u.openDir(dir)
	if errors.Is(err, unix.ENOENT) {
		if err := u.imply(dir); err != nil {
			return -1, err
		}
		f, err = u.openDir(dir)
	}
	if err != nil {
		return -1, contained(err)
	}
	u.forgetParent()
	u.parent, u.parentPath = f, dir
	return int(f.Fd()), nil
}

func (u *unpacker) openDir(dir string) (*os.File, error) {
	return u.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// contained makes the error for a name that leaves the layer through a link one of kind ErrHostile. os.Root has no exported error for
// that, so every error without an errno of the file system counts as one.
func contained(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) || errno == unix.ELOOP || errno == unix.ENOTDIR {
		return &Error{Kind: ErrHostile, Msg: "the name goes through something that is not a directory of this layer", Err: err}
	}
	return err
}

// forgetParent closes the last directory. It must be called when an entry replaces a directory or a link, since the path may then lead
// to another directory.
func (u *unpacker) forgetParent() {
	if u.parent != nil {
		u.parent.Close()
		u.parent = nil
	}
}

// clear removes the file or folder that an earlier entry of the tar made at a name.
func (u *unpacker) clear(name string) error {
	u.forgetParent()
	if err := u.root.RemoveAll(name); err != nil {
		return fmt.Errorf("replace an earlier entry: %w", err)
	}
	return nil
}

// create makes a name with mk, and returns the descriptor of its directory. It first removes what an earlier entry made there.
func (u *unpacker) create(name string, mk func(dirfd int, base string) error) (int, error) {
	dir, base := path.Split(name)
	for again := false; ; again = true {
		fd, err := u.in(path.Clean("./" + dir))
		if err != nil {
			return -1, err
		}
		err = mk(fd, base)
		if errors.Is(err, unix.EEXIST) && !again {
			if err := u.clear(name); err != nil {
				return -1, err
			}
			continue
		}
		return fd, err
	}
}

func (u *unpacker) setDirTimes() error {
	u.forgetParent()
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		f, err := u.openDir(d.path)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue // a later entry replaced it
		}
		if err != nil {
			return contained(err)
		}
		err = unix.UtimesNanoAt(int(f.Fd()), ".", []unix.Timespec{d.mtime, d.mtime}, 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("set time of %s: %w", d.path, err)
		}
	}
	return nil
}
