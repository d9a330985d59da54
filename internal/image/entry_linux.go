package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// permissions are the mode bits that a layer may set. The setuid and setgid bits are dropped: they have no effect in a sandbox,
// which is mounted nosuid, and they must never exist on the host.
const permissions = 0o1777

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	// Check the size before writing, since a sparse file or a false header can announce any size.
	if h.Size < 0 || h.Size > u.lim.LayerBytes-u.rec.Bytes {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer unpacks to more than %d bytes", u.lim.LayerBytes)}
	}
	if !u.image.take(h.Size) {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image unpacks to more than %d bytes", u.lim.ImageBytes)}
	}
	u.rec.Bytes += h.Size
	var f *os.File
	_, err := u.create(name, func(dirfd int, base string) error {
		fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = u.fill(f, h, content)
	return errors.Join(err, f.Close())
}

func (u *unpacker) fill(f *os.File, h *tar.Header, content io.Reader) error {
	fd := int(f.Fd())
	if n, err := io.CopyBuffer(struct{ io.Writer }{f}, content, u.buf); err != nil {
		return tarError(err)
	} else if n != h.Size {
		return &Error{Kind: ErrTruncated, Msg: fmt.Sprintf("the file should have %d bytes, but ends after %d", h.Size, n)}
	}
	if err := setMeta(fd, h); err != nil {
		return err
	}
	t := timespec(h.ModTime)
	// futimens(3) doesn't need /proc, which may be missing.
	if err := futimens(fd, t); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}

// setMeta sets the owner, mode and extended attributes of an open file or directory. It sets the owner first, since a change of
// owner clears mode bits.
func setMeta(fd int, h *tar.Header) error {
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return ownerError(err, h)
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&permissions); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	for k, v := range keptXattrs(h) {
		// Some file systems have no user attributes (tmpfs before Linux 6.6). Programs run without them.
		if err := unix.Fsetxattr(fd, k, []byte(v), 0); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("set attribute %s: %w", k, err)
		}
	}
	return nil
}

func ownerError(err error, h *tar.Header) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		return &Error{
			Kind: ErrUnsupported, Msg: fmt.Sprintf("can't give a file to %d:%d", h.Uid, h.Gid), Err: err,
			Hint: "unpack as root, or in a user namespace with 65,536 ids",
		}
	}
	return fmt.Errorf("set owner: %w", err)
}

func (u *unpacker) rootDir(h *tar.Header) error {
	fd, err := u.in(".")
	if err != nil {
		return err
	}
	if err := setMeta(fd, h); err != nil {
		return err
	}
	return u.rememberTime(".", h)
}

func (u *unpacker) rememberTime(name string, h *tar.Header) error {
	if u.dirBytes += len(name); u.dirBytes > maxDirBytes {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer's directory names take more than %d bytes", maxDirBytes)}
	}
	u.dirs = append(u.dirs, dirTime{name, timespec(h.ModTime)})
	return nil
}

func (u *unpacker) directory(name string, h *tar.Header) error {
	delete(u.implied, name)
	dir, base := path.Split(name)
	parent, err := u.in(path.Clean("./" + dir))
	if err != nil {
		return err
	}
	hidden := false
	err = unix.Mkdirat(parent, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if err = nil; st.Mode&unix.S_IFMT != unix.S_IFDIR {
			// If it was a whiteout, the directory of this name in the layers below stays hidden.
			hidden = isWhiteout(&st)
			parent, err = u.create(name, func(dirfd int, base string) error { return unix.Mkdirat(dirfd, base, 0o700) })
		}
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// The next entry is usually in this directory.
	u.forgetParent()
	u.parent, u.parentPath = os.NewFile(uintptr(fd), name), name
	if hidden {
		if err := u.setOpaque(fd); err != nil {
			return err
		}
	}
	if err := setMeta(fd, h); err != nil {
		return err
	}
	return u.rememberTime(name, h)
}

func (u *unpacker) symlink(name string, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) >= maxPathBytes {
		return hostile("symbolic link with a target of %d bytes", len(h.Linkname))
	}
	fd, err := u.create(name, func(dirfd int, base string) error { return unix.Symlinkat(h.Linkname, dirfd, base) })
	if err != nil {
		return err
	}
	base := path.Base(name)
	if err := unix.Fchownat(fd, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ownerError(err, h)
	}
	t := timespec(h.ModTime)
	if err := unix.UtimesNanoAt(fd, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}

// hardLink makes a hard link to an earlier entry (image-spec, layer.md, "Hard links"), or notes a link to a layer below.
func (u *unpacker) hardLink(name string, h *tar.Header) error {
	target, err := cleanName(h.Linkname, u.lim.PathDepth)
	if err != nil {
		return err
	}
	if kind, _, err := readWhiteout(target, tar.TypeLink); err != nil || kind != hidesNothing {
		return hostile("hard link to a whiteout, %q", h.Linkname)
	}
	tdir, err := u.openDir(path.Dir(target))
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return contained(err)
	}
	var st unix.Stat_t
	if err == nil {
		defer tdir.Close()
		err = unix.Fstatat(int(tdir.Fd()), path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return u.noteLink(name, target)
	}
	if err != nil {
		return err
	}
	if below, ok := u.notedLink(int(tdir.Fd()), path.Base(target)); ok {
		if name == target {
			return nil
		}
		return u.noteLink(name, below)
	}
	if typ := st.Mode & unix.S_IFMT; typ != unix.S_IFREG && typ != unix.S_IFLNK {
		return hostile("hard link to %q, which is not a file", h.Linkname)
	}
	dir, base := path.Split(name)
	parent, err := u.in(path.Clean("./" + dir))
	if err != nil {
		return err
	}
	var old unix.Stat_t
	if unix.Fstatat(parent, base, &old, unix.AT_SYMLINK_NOFOLLOW) == nil && old.Ino == st.Ino && old.Dev == st.Dev {
		return nil // a link to itself, or one that exists already
	}
	_, err = u.create(name, func(dirfd int, base string) error {
		return unix.Linkat(int(tdir.Fd()), path.Base(target), dirfd, base, 0)
	})
	return err
}

// whiteout writes a whiteout in the form of overlayfs: a 0/0 character device, or an attribute of the directory
// (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"). It hides a file of the layers below. A file of this
// layer with the name stays (image-spec: "applied to lower layers only").
func (u *unpacker) whiteout(dir string, kind whiteout, hidden string) error {
	fd, err := u.in(dir)
	if err != nil {
		return err
	}
	if kind == hidesBelow {
		return u.setOpaque(fd)
	}
	err = unix.Mknodat(fd, hidden, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EPERM) {
		return &Error{Kind: ErrUnsupported, Msg: "can't make a whiteout device", Err: err, Hint: "unpack as root, or on Linux 5.8 or later"}
	}
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	sub, err := unix.Openat(fd, hidden, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // a file of this layer, which hides those below anyway
	}
	defer unix.Close(sub)
	return u.setOpaque(sub)
}

func (u *unpacker) setOpaque(fd int) error {
	if err := unix.Fsetxattr(fd, u.opaque, []byte("y"), 0); err != nil {
		return &Error{
			Kind: ErrUnsupported, Msg: "can't mark a directory opaque with " + u.opaque, Err: err,
			Hint: "put the store on a file system with extended attributes, and unpack as root or with user attributes",
		}
	}
	return nil
}

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// futimens sets both times of an open file, as futimens(3) does.
func futimens(fd int, t unix.Timespec) error {
	ts := [2]unix.Timespec{t, t}
	return utimensFD(fd, &ts)
}
