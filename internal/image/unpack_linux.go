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
// Two steps keep it inside, whatever the tar holds. The parent directory of an entry is opened through os.Root, which
// follows a symbolic link that the layer wrote only as long as it stays inside. Then everything happens to a single
// name in that open directory, by calls that don't follow links (openat O_NOFOLLOW|O_EXCL, fchownat and utimensat with
// AT_SYMLINK_NOFOLLOW). The directory is in tmp, where nobody else writes.
type unpacker struct {
	root   *os.Root
	lim    Limits
	image  *imageBudget
	opaque string // xattr that makes a directory opaque
	// firstID is what the image's id 0 is stored as.
	firstID int

	parent     *os.File // the directory last worked in, which is most often the next one too
	parentPath string

	dirs      []dirTime // directories change as they are filled: their times are set last
	dirBytes  int
	implied   map[string]bool
	links     []linkBelow
	linkBytes int
	linkMark  string // what placeholders of links begin with
	rec       treeRecord
	buf       []byte
}

type dirTime struct {
	path  string
	mtime unix.Timespec
}

// unpackTar applies the tar in r to the empty directory dir and says what it counted. r is read up to the end of the
// tar and not beyond.
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
			image.left.Add(u.rec.Bytes) // another mirror may be tried
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

// entry applies one entry.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if u.rec.Entries++; u.rec.Entries > u.lim.LayerEntries {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer has more than %d entries", u.lim.LayerEntries)}
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // defaults for the headers that follow; archive/tar leaves them to us, and layers have no use for them
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
			*id = overflowID // as a user namespace shows an id that it doesn't have
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
		// A sandbox has the devices it is given. Above all, a 0/0 character device would be a forged whiteout.
		u.rec.Dropped++
		return nil
	default:
		return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("tar entry of unknown type %q", h.Typeflag)}
	}
}

// in opens the directory of an entry, made if the tar doesn't list it. The file is the unpacker's, not the caller's.
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

// contained gives a name that leads out of the layer through a link its kind. os.Root has no exported error for it: all
// that isn't a plain errno of the file system is its refusal.
func contained(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) || errno == unix.ELOOP || errno == unix.ENOTDIR {
		return &Error{Kind: ErrHostile, Msg: "the name goes through something that is not a directory of this layer", Err: err}
	}
	return err
}

// forgetParent must be called when a directory or a link is replaced: its path may now mean another directory.
func (u *unpacker) forgetParent() {
	if u.parent != nil {
		u.parent.Close()
		u.parent = nil
	}
}

// clear removes what an earlier entry of the same tar put at a name.
func (u *unpacker) clear(name string) error {
	u.forgetParent()
	if err := u.root.RemoveAll(name); err != nil {
		return fmt.Errorf("replace an earlier entry: %w", err)
	}
	return nil
}

// create makes a name with mk, after removing what is there, and returns its directory.
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
