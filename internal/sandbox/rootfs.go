package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// rootfs is a sandbox's file system, mounted in the shim's private mount
// namespace, so that it vanishes with the shim however the shim dies:
//
//	DIR/root        a tmpfs; its size is the run's disk limit; for an ordinary user elsewhere (mountPoint)
//	  lower/0…      the image's layers, id-mapped into the run's range, read-only
//	  upper, work   what the tool changes
//	  root          the overlay of the two: the tool's "/"
//	  tmp, shm, …   the writable directories that are not part of the image
//	  shim, empty   in tests: an overlay of the folder of mayfly-shim, which mocked commands are
//	  devices       a tmpfs of device nodes of the run's own, as root
//	  secrets       a tmpfs of its own, not swapped where the kernel can do that (mountSecrets)
//
// The tool sees root read-only; its home and working directory are the same
// overlay's directories, mounted writable over it, so that what the image has
// there stays visible.
type rootfs struct {
	dir     string // the tmpfs
	root    string // the overlay
	firstID int
	layers  int               // below lower
	folders map[string]string // the host's, which mounts name
	// diskLimit is the size of the tmpfs.
	diskLimit int64

	user    identity
	home    string
	workdir string
	targets []string      // where the tool's own mounts go
	sources []specs.Mount // of the tool's volumes
	volumes []string      // what the image declares as writable
	own     []ownPlace
	mounted []ownPlace // the tool's volumes that it may write to
	caches  []*cache
	sized   []ownPlace // volumes with a size of their own, each a file system

	trusting     *trusting // nil outside of tests
	mayRunMocked []string  // what mayRunItself says

	secretsMounted bool
	hasDevices     bool // of its own
}

// secretTmpfsBytes bounds the memory that all secrets of a run take.
const secretTmpfsBytes = 32 << 20

// mountRootfs mounts everything but the mounts that libcontainer makes inside
// the container. userNS is the path of the sandbox's user namespace; empty for
// a runtime that has its own, whose file system then has the image's ids.
func mountRootfs(start *wire.Start, userNS string) (*rootfs, error) {
	spec, image := start.Spec, &start.Local.Image
	dir, err := mountPoint(start)
	if err != nil {
		return nil, err
	}
	r := &rootfs{dir: dir, root: filepath.Join(dir, "root"), firstID: start.FirstID, layers: len(image.Layers), folders: start.Local.Folders, diskLimit: spec.Resources.Disk}
	if userNS == "" {
		r.firstID = 0
	}

	// Nothing that is mounted from here on reaches the host's namespace, while
	// what the host unmounts is unmounted here too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, fmt.Errorf("make the mount namespace private: %w", err)
	}
	// One inode takes about as much memory as a page: a tool that makes only
	// empty files is held by the same limit as one that fills them.
	inodes := max(spec.Resources.Disk/4096, 1024)
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0711", spec.Resources.Disk, inodes)
	if err := unix.Mount("mayfly", r.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, fmt.Errorf("mount the sandbox's memory file system: %w", err)
	}
	if err := r.mountState(); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{{"lower", 0o711}, {"upper", 0o755}, {"work", 0o755}, {"root", 0o755}, {"secrets", 0o711}, {"scratch", 0o711}, {"held", 0o711}} {
		if err := r.mkdir(filepath.Join(r.dir, d.name), d.mode, r.firstID, r.firstID); err != nil {
			return nil, err
		}
	}
	if err := r.mountImage(image.Layers, userNS, start.Rootless); err != nil {
		return nil, err
	}
	for _, f := range image.Folders {
		if err := r.restoreFolder(f); errors.Is(err, unix.ENOSPC) {
			return nil, fmt.Errorf("the folders of the image whose owner must be set (%d) don't fit into the disk limit; raise resources.disk: %w", len(image.Folders), err)
		} else if err != nil {
			return nil, fmt.Errorf("give folder %s of the image its owner: %w", f.Path, err)
		}
	}
	return r, nil
}

// restoreFolder gives a folder of the image its owner and mode.
func (r *rootfs) restoreFolder(f engine.Folder) error {
	host, err := r.inRoot(f.Path)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(host); err != nil || !info.IsDir() {
		return err // a layer above has put something else there
	}
	if err := os.Lchown(host, r.firstID+f.UID, r.firstID+f.GID); err != nil {
		return err
	}
	return unix.Chmod(host, f.Mode&0o1777)
}

// mkdir makes a directory with exactly this mode and owner (host ids).
func (r *rootfs) mkdir(path string, mode os.FileMode, uid, gid int) error {
	if err := os.Mkdir(path, mode.Perm()); err != nil {
		return err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, mode) // after chown and umask, which clear bits
}

func (r *rootfs) mountImage(layers []string, userNS string, rootless bool) error {
	if len(layers) == 0 {
		return &engine.InvalidError{Field: "image", Why: "it has no layers"}
	}
	mapped := -1
	if userNS != "" && !rootless {
		ns, err := os.Open(userNS)
		if err != nil {
			return err
		}
		defer ns.Close()
		mapped = int(ns.Fd())
	}
	// The options of a mount are one page at most. Full paths of the 127 layers that an image may have would be more than
	// that, and an option for each layer takes Linux 6.8: these paths are short.
	dir, err := os.Open(filepath.Join(r.dir, "lower"))
	if err != nil {
		return err
	}
	defer dir.Close()
	// Overlay wants the uppermost layer first.
	var lower []string
	for i := len(layers) - 1; i >= 0; i-- {
		target := fmt.Sprintf("/proc/self/fd/%d/%d", dir.Fd(), i)
		if err := os.Mkdir(target, 0o700); err != nil {
			return err
		}
		if err := mountLayer(layers[i], target, mapped); err != nil {
			return fmt.Errorf("mount image layer %s: %w", layers[i], err)
		}
		lower = append(lower, target)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		strings.Join(lower, ":"), filepath.Join(r.dir, "upper"), filepath.Join(r.dir, "work"))
	if rootless {
		options += ",userxattr"
	}
	if err := unix.Mount("mayfly", r.root, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount the image: overlayfs: %w", err)
	}
	return nil
}

// mountLayer mounts one unpacked layer read-only at target, its owners shown
// as ids of a user namespace (mount_setattr(2)), or as they are when userNS is
// negative: a rootless shim may not map ids, and its layers were unpacked in
// the range that it runs in.
func mountLayer(layer, target string, userNS int) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, layer, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if userNS >= 0 {
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		attr.Userns_fd = uint64(userNS)
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			return &engine.Unsupported{
				Feature: "private id range of a run",
				Why:     fmt.Sprintf("the file system of %s doesn't take id-mapped mounts (%v)", layer, err),
				Remedy:  "keep MAYFLY_HOME on ext4, xfs, btrfs or tmpfs, on Linux 5.19 or later",
			}
		}
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// inRoot is the host's path of a path of the sandbox, symbolic links being
// followed as the sandbox would and never out of it. Nothing of the tool runs
// yet, so what is checked can't change before it is used.
func (r *rootfs) inRoot(path string) (string, error) {
	host, err := securejoin.SecureJoin(r.root, path)
	if errors.Is(err, unix.ELOOP) { // whose text has the path on the host
		err = fmt.Errorf("find %s in the image: %w", path, unix.ELOOP)
	}
	return host, err
}

// mkdirAll makes path and its missing parents in the sandbox, as root of the
// sandbox, and lets every user pass through all of them: a file mounted below
// /root has to be reachable by a tool that doesn't run as root.
func (r *rootfs) mkdirAll(path string) (string, error) {
	at := ""
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		at += "/" + part
		host, err := r.inRoot(at)
		if err != nil {
			return "", err
		}
		info, err := os.Lstat(host)
		switch {
		case errors.Is(err, os.ErrNotExist):
			if err := r.mkdir(host, 0o755, r.firstID, r.firstID); err != nil {
				return "", fmt.Errorf("make %s in the sandbox: %w", at, err)
			}
		case err != nil:
			return "", err
		case !info.IsDir():
			return "", &engine.InvalidError{Field: "path " + path, Why: at + " is not a directory in the image"}
		case info.Mode().Perm()&0o111 != 0o111:
			if err := os.Chmod(host, info.Mode()|0o111); err != nil {
				return "", err
			}
		}
	}
	return r.inRoot(path)
}

// writeFile writes a small file of the sandbox's own into the image's root,
// readable by all. An existing file or symbolic link is replaced, never
// followed.
func (r *rootfs) writeFile(path string, content []byte) error {
	dir, err := r.mkdirAll(filepath.Dir(path))
	if err != nil {
		return err
	}
	host := filepath.Join(dir, filepath.Base(path))
	if err := os.RemoveAll(host); err != nil {
		return err
	}
	f, err := os.OpenFile(host, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return finish(f, err, r.firstID, r.firstID, 0o644)
}

// finish gives a file that was just written its owner, in host ids, and its
// mode, and closes it. err is how the writing failed, if it did.
func finish(f *os.File, err error, uid, gid int, mode os.FileMode) error {
	if err == nil {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode) // after chown, which clears bits
	}
	return errors.Join(err, f.Close())
}

// scratch makes an empty directory outside the image for the tool to write in,
// sharing the run's disk limit, and returns its path on the host.
func (r *rootfs) scratch(name string, mode os.FileMode) (string, error) {
	path := filepath.Join(r.dir, "scratch", name)
	uid, gid := r.user.hostIDs(r.firstID)
	if mode&os.ModeSticky != 0 {
		uid, gid = r.firstID, r.firstID
	}
	return path, r.mkdir(path, mode, uid, gid)
}

// mountSecrets mounts the memory file system that secret values are written to,
// once.
func (r *rootfs) mountSecrets() error {
	if r.secretsMounted {
		return nil
	}
	dir := filepath.Join(r.dir, "secrets")
	options := fmt.Sprintf("size=%d,nr_inodes=1024,mode=0711", secretTmpfsBytes)
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	err := unix.Mount("mayfly-secrets", dir, "tmpfs", flags, options+",noswap")
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) { // before Linux 6.4, or rootless
		err = unix.Mount("mayfly-secrets", dir, "tmpfs", flags, options)
	}
	if err != nil {
		return fmt.Errorf("mount the memory file system for secrets: %w", err)
	}
	r.secretsMounted = true
	return nil
}

// readOnlyFile writes a file for the tool outside the image, with exactly this
// mode, owned by the tool's user, and returns its path on the host.
func (r *rootfs) readOnlyFile(dir, name string, content []byte, mode os.FileMode) (string, error) {
	path := filepath.Join(r.dir, dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	uid, gid := r.user.hostIDs(r.firstID)
	return path, finish(f, err, uid, gid, mode)
}

// hold mounts a folder of the image's root at a place of its own, and returns
// that. A shell in a kept sandbox is a second container with the same mounts:
// by then the tool may have moved the folder and left a link there, which leads
// out of the sandbox where the host follows it.
func (r *rootfs) hold(host, name string) (string, error) {
	at := filepath.Join(r.dir, "held", name)
	if err := r.mkdir(at, 0o711, r.firstID, r.firstID); err != nil {
		return "", err
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, host, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return "", fmt.Errorf("hold %s: %w", host, err)
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", fmt.Errorf("hold %s: %w", host, err)
	}
	return at, nil
}

// diskBytes is how much of the disk limit is used.
func (r *rootfs) diskBytes() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}

// fileBytes is what all of the sandbox's files take.
func (r *rootfs) fileBytes() (int64, error) {
	sum, err := r.diskBytes()
	for _, v := range r.sized {
		var st unix.Statfs_t
		if err := unix.Statfs(v.host, &st); err != nil {
			return 0, err
		}
		sum += int64(st.Blocks-st.Bfree) * st.Bsize
	}
	return sum, err
}

// full says which of the sandbox's file systems has no room left, all but a
// part in 64, which a program that writes more than that at once leaves.
func (r *rootfs) full() (*engine.Full, error) {
	for _, p := range append([]ownPlace{{"", r.dir}}, r.sized...) {
		var st unix.Statfs_t
		if err := unix.Statfs(p.host, &st); err != nil {
			return nil, err
		}
		if files := st.Ffree <= st.Files/64; files || st.Bfree <= st.Blocks/64 {
			return &engine.Full{Volume: p.dir, Files: files}, nil
		}
	}
	return nil, nil
}
