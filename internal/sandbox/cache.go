package sandbox

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/engine"
)

// cache is a directory that is kept between the runs of a tool, or passed from
// one run to others (an artifact).
//
// A run works on a copy in its own memory file system, so that the disk limit
// applies to it and concurrent runs don't disturb each other. After a success
// the run's directory replaces the whole kept copy: one tar file, renamed into
// place.
type cache struct {
	file string // the tar file on the host
	dir  string // the run's copy, as a path of the host
	size int64  // the limit of what is kept, in bytes
	kind engine.MountKind
}

// kept reports whether a success replaces the kept copy.
func (c *cache) kept() bool { return c.kind != engine.MountHanded }

// maxCacheEntries and maxCacheDepth are the limits of a kept copy. A name grows
// with its depth, so the names of a deep tree cost far more than its files.
const (
	maxCacheEntries = 200_000
	maxCacheDepth   = 64
)

// restoreCache makes the run's copy of a cache or artifact.
func (r *rootfs) restoreCache(m engine.Mount, name string) (_ *cache, err error) {
	c := &cache{file: filepath.Join(r.folders[m.Folder], filepath.FromSlash(m.Path)+".tar"), size: m.Size, kind: m.Kind}
	if c.size == 0 {
		c.size = r.diskLimit
	}
	if c.dir, err = r.scratchVolume(name, m.Target, m.Size); err != nil {
		return nil, err
	}
	if m.Kind == engine.MountArtifact {
		return c, nil
	}
	f, err := os.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) && m.Kind == engine.MountCache {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	uid, gid := r.user.hostIDs(r.firstID)
	err = checkWhole(f)
	if err == nil {
		err = unpackCache(bufio.NewReaderSize(f, 1<<20), c.dir, uid, gid)
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return nil, fmt.Errorf("restore %s: it doesn't fit the disk limit; raise resources.disk: %w", c.file, err)
	case err != nil && m.Kind == engine.MountCache:
		return nil, fmt.Errorf("restore the cache %s: %w; delete that file to start with an empty cache", c.file, err)
	case err != nil:
		return nil, fmt.Errorf("restore %s: %w", c.file, err)
	}
	return c, nil
}

// checkWhole returns an error if a tar file doesn't end with two empty blocks, which package tar doesn't require.
func checkWhole(f *os.File) error {
	end := make([]byte, 1024)
	info, err := f.Stat()
	if err == nil {
		_, err = f.ReadAt(end, max(0, info.Size()-int64(len(end))))
	}
	if errors.Is(err, io.EOF) || err == nil && (info.Size()%512 != 0 || len(bytes.Trim(end, "\x00")) > 0) {
		return errors.New("the file is cut short")
	}
	return err
}

func unpackCache(from io.Reader, dir string, uid, gid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := tar.NewReader(from)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.Mkdir(name, 0o700)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			err = unpackCacheFile(root, name, in)
		default:
			err = fmt.Errorf("an entry of type %q", h.Typeflag)
		}
		if err == nil {
			err = root.Lchown(name, uid, gid)
		}
		if err == nil && h.Typeflag != tar.TypeSymlink {
			err = root.Chmod(name, fs.FileMode(h.Mode).Perm())
		}
		if err == nil && h.Typeflag == tar.TypeReg {
			err = root.Chtimes(name, h.ModTime, h.ModTime)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

func unpackCacheFile(root *os.Root, name string, in io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Close())
}

// save replaces the kept copy with the run's. Every process of the sandbox has
// ended by then, but the files that they left are as hostile as they were. If
// stop is closed before the new copy has its name, the former copy stays and the
// error is errStopped.
func (c *cache) save(stop <-chan struct{}) (err error) {
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	f, err := atomicfile.Create(c.file, atomicfile.Options{Prefix: filepath.Base(c.file) + ".", Unnamed: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(stoppable{f, stop}, 1<<20)
	if err := packCache(buffered, c.dir, c.size, c.kind == engine.MountArtifact); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	// Here and not by Commit, since it takes long: someone may ask to stop meanwhile. A crash of the host leaves the whole
	// file or none.
	if err := f.Sync(); err != nil {
		return err
	}
	if stopped(stop) {
		return errStopped
	}
	// What shims have left that were killed while they gave a file its name, which takes two calls.
	if err := atomicfile.Sweep(filepath.Dir(c.file), filepath.Base(c.file)+".", time.Minute); err != nil {
		return err
	}
	return f.Commit()
}

// packCache writes the directory as a tar file, of at most left bytes of
// content. It counts the sizes of files, not the blocks that they take in the
// sandbox: holes are written out here, and could otherwise fill the host's disk.
// If strict, a file that can't be kept is an error; otherwise it is left out.
func packCache(to io.Writer, dir string, left int64, strict bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	out := tar.NewWriter(to)
	entries := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entries++; entries > maxCacheEntries {
			return fmt.Errorf("it has more than %d files", maxCacheEntries)
		}
		if strings.Count(name, "/") >= maxCacheDepth {
			return fmt.Errorf("%.80s…: it has folders more than %d deep", name, maxCacheDepth)
		}
		size, err := packCacheEntry(out, root, name, left, strict)
		left -= size
		return err
	})
	return errors.Join(err, out.Close())
}

// packCacheEntry writes one file, of at most left bytes, and returns its size in bytes.
func packCacheEntry(out *tar.Writer, root *os.Root, name string, left int64, strict bool) (int64, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return 0, err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = root.Readlink(name); err != nil {
			return 0, err
		}
	case 0:
		if info.Size() > left {
			return 0, fmt.Errorf("%.80s: the files together are larger than the volume, holes in them counted too", name)
		}
		f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		if err := out.WriteHeader(h); err != nil {
			return 0, err
		}
		return io.Copy(out, f)
	default:
		if strict {
			return 0, fmt.Errorf("%.80s: it is neither a file, a folder nor a symbolic link", name)
		}
		return 0, nil // sockets and FIFOs mean nothing to another run
	}
	return 0, out.WriteHeader(h)
}
