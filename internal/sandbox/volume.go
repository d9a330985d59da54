package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// copyIn copies one of the tool's files or folders into the sandbox, owned by the
// sandbox's root and readable by all users, and returns the copy's path on the
// host. A tool's folder comes from a repository, so it is as hostile as the tool:
// copyIn never follows a symbolic link out of it.
func (r *rootfs) copyIn(folder, name, as string) (string, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer root.Close()
	target := filepath.Join(r.dir, "scratch", as)
	info, err := root.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return target, r.copyFile(root, name, target, info)
	}
	// A symbolic link in the folder is copied as a link: it is resolved in the
	// sandbox, where it can't lead out.
	tree, err := root.OpenRoot(name)
	if err != nil {
		return "", err
	}
	defer tree.Close()
	return target, fs.WalkDir(tree.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(target, filepath.FromSlash(p))
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			return r.mkdir(to, 0o755, r.firstID, r.firstID)
		case fs.ModeSymlink:
			link, err := tree.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		case 0:
			return r.copyFile(tree, p, to, info)
		default:
			return &engine.InvalidError{Field: "file " + path.Join(name, p), Why: "it is neither a file nor a folder"}
		}
	})
}

func (r *rootfs) copyFile(root *os.Root, name, target string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &engine.InvalidError{Field: "file " + name, Why: "it is not a regular file"}
	}
	in, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("copy %s: it doesn't fit the disk limit; raise resources.disk: %w", name, err)
	}
	mode := os.FileMode(0o444)
	if info.Mode().Perm()&0o111 != 0 {
		mode = 0o555
	}
	return finish(out, err, r.firstID, r.firstID, mode)
}

// scratchVolume makes an empty writable directory and returns its path on the
// host. With a size, in bytes, it has its own memory file system; without a size
// it shares the disk limit.
func (r *rootfs) scratchVolume(name, target string, size int64) (string, error) {
	dir, err := r.scratch(name, 0o700)
	if err != nil || size == 0 {
		return dir, err
	}
	uid, gid := r.user.hostIDs(r.firstID)
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0700,uid=%d,gid=%d", size, max(size/4096, 1024), uid, gid)
	if err := unix.Mount("mayfly", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return "", err
	}
	r.sized = append(r.sized, ownPlace{target, dir})
	return dir, nil
}
