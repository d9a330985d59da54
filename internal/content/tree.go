package content

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Pack stores a tar of files and folders in a directory, and returns its digest. The paths are relative to the directory, with
// slashes. Pack follows a path that is a symbolic link only inside the directory; a symbolic link in a folder stays a link. The tar
// has no times, owners and mode bits except whether a file is executable, so the same files have the same digest everywhere.
func (s Store) Pack(ctx context.Context, dir string, paths []string) (digest string, err error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(string(s), "packing-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if err := errors.Join(pack(ctx, out, dir, paths), out.Close()); err != nil {
		return "", err
	}
	return s.Take(ctx, out.Name())
}

func pack(ctx context.Context, out io.Writer, dir string, paths []string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	p := &packer{ctx: ctx, root: root, out: tar.NewWriter(out), have: map[string]bool{}}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		if err := p.parents(name); err != nil {
			return err
		}
		if err := p.add(name); err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
	}
	return p.out.Close()
}

type packer struct {
	ctx  context.Context // lives only for one call
	root *os.Root
	out  *tar.Writer
	have map[string]bool // the names that have been written
}

// parents writes the folders above a file.
func (p *packer) parents(name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if err := p.header(&tar.Header{Typeflag: tar.TypeDir, Name: name[:i], Mode: 0o755}); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) header(h *tar.Header) error {
	if p.have[h.Name] {
		return nil
	}
	p.have[h.Name] = true
	h.Format = tar.FormatPAX
	return p.out.WriteHeader(h)
}

// add writes the file or folder at a name, with everything in the folder. It follows a link.
func (p *packer) add(name string) error {
	info, err := p.root.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return p.file(p.root, name, name, info)
	}
	tree, err := p.root.OpenRoot(name)
	if err != nil {
		return err
	}
	err = fs.WalkDir(tree.FS(), ".", func(at string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(p.ctx)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		as := path.Join(name, at)
		switch info.Mode().Type() {
		case fs.ModeDir:
			return p.header(&tar.Header{Typeflag: tar.TypeDir, Name: as, Mode: 0o755})
		case fs.ModeSymlink:
			to, err := tree.Readlink(at)
			if err != nil {
				return err
			}
			return p.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: as, Linkname: to, Mode: 0o777})
		default:
			return p.file(tree, at, as, info)
		}
	})
	return errors.Join(err, tree.Close())
}

// modeOf returns 0755 if a file is executable, and otherwise 0644.
func modeOf(mode fs.FileMode) fs.FileMode {
	if mode&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

func (p *packer) file(in *os.Root, name, as string, info fs.FileInfo) (err error) {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a folder", as)
	}
	if p.have[as] {
		return nil
	}
	f, err := in.OpenFile(name, os.O_RDONLY|nonblock, 0) // the file may have been replaced with a pipe, which must not block
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if err := p.header(&tar.Header{Typeflag: tar.TypeReg, Name: as, Size: info.Size(), Mode: int64(modeOf(info.Mode()))}); err != nil {
		return err
	}
	_, err = io.Copy(p.out, untilDone{p.ctx, io.LimitReader(f, info.Size())})
	return err
}

// The limits of a tree. A tool brings only some files along; a larger tree is meant to fill the disk.
const (
	maxTreeBytes   = 1 << 30
	maxTreeEntries = 100_000
	maxTreeDepth   = 64
)

// Unpack writes a tree to an empty directory. The tar may be hostile: Unpack writes nothing outside the directory, and at most 1 GiB,
// 100,000 entries and 64 levels.
func (s Store) Unpack(ctx context.Context, digest, dir string) (err error) {
	file, err := s.Path(digest)
	if err != nil {
		return err
	}
	switch is, err := digestOf(ctx, file); {
	case err != nil:
		return err
	case is != digest:
		return fmt.Errorf("%s has the digest %s: it was changed or truncated", file, is)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return unpack(tar.NewReader(untilDone{ctx, f}), root)
}

func unpack(in *tar.Reader, root *os.Root) error {
	left := int64(maxTreeBytes)
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if n == maxTreeEntries || strings.Count(name, "/") >= maxTreeDepth || h.Size > left {
			return fmt.Errorf("%q: the tree has more than %d entries, %d levels or %d MiB", name, maxTreeEntries, maxTreeDepth, maxTreeBytes>>20)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			if err = root.Mkdir(name, 0o755); errors.Is(err, fs.ErrExist) && name == "." {
				err = nil
			}
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			left -= h.Size
			err = unpackFile(in, root, name, modeOf(fs.FileMode(h.Mode)))
		default:
			err = fmt.Errorf("%q is neither a file, a folder nor a link", name)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(in io.Reader, root *os.Root, name string, mode fs.FileMode) error {
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // which ends with the entry
	return errors.Join(err, out.Close())
}
