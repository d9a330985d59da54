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

// rootfs is a sandbox's file system. It is mounted in the shim's private mount
// namespace, so that it vanishes with the shim, however the shim ends:
//
//	DIR/root        a tmpfs with the size of the run's disk limit; elsewhere for an ordinary user (mountPoint)
//	  lower/0…      the image's layers, id-mapped into the run's range, read-only
//	  upper, work   the tool's changes
//	  root          the overlay of the two: the tool's "/"
//	  tmp, shm, …   the writable directories that are not part of the image
//	  shim, empty   in tests: an overlay of the folder of mayfly-shim, the program of mocked commands
//	  devices       a tmpfs of the run's own device nodes; only root has it
//	  secrets       a tmpfs, which is not swapped if the kernel supports that (mountSecrets)
//
// The tool sees root read-only. Its home and working directory are directories
// of the same overlay, mounted writable over it, so that the image's files in
// them stay visible.
type rootfs struct {
	dir     string // the tmpfs
	root    string // the overlay
	firstID int
	layers  int               // the number of folders in lower
	folders map[string]string // folders of the host by the names in mounts (engine.Local)
	// diskLimit is the size of the tmpfs, in bytes.
	diskLimit int64

	user    identity
	home    string
	workdir string
	targets []string      // the paths of the tool's mounts in the sandbox
	sources []specs.Mount // the mounts of the tool's volumes
	volumes []string      // the volumes that the image declares
	own     []ownPlace    // the home, the working directory and the image's volumes
	mounted []ownPlace    // the tool's writable volumes
	caches  []*cache
	sized   []ownPlace // volumes with their own size; each is a file system

	trusting     *trusting // nil except in tests
	mayRunMocked []string  // the result of mayRunItself

	secretsMounted bool
	hasDevices     bool // its own device nodes (ownDevices)
}

// secretTmpfsBytes is the limit of the memory of all secrets of a run.
const secretTmpfsBytes = 32 << 20

// mountRootfs mounts everything except the mounts that libcontainer makes inside
// the container. userNS is the path of the sandbox's user namespace. It is empty
// for a runtime that has its own; then the file system has the image's ids.
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

	// From here on no mount reaches the host's namespace, but a file system that
	// the host unmounts is unmounted here too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, fmt.Errorf("make the mount namespace private: %w", err)
	}
	// An inode takes about as much memory as a page, so the same limit applies to
	// a tool that makes only empty files and to one that fills them.
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
		return err // nil if an upper layer has another file at the path
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
	return os.Chmod(path, mode) // chown and the umask clear bits
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
	// The options of a mount have at most one page. The full paths of the 127 layers that an image may have would be longer,
	// and an option per layer needs Linux 6.8. So these paths are short.
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

// mountLayer mounts one unpacked layer read-only at target. It maps the owners
// to ids of a user namespace (mount_setattr(2)), unless userNS is negative: a
// rootless shim may not map ids, and its layers were unpacked with the ids that
// it runs with.
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

// inRoot returns the path on the host of a path in the sandbox. It follows
// symbolic links as the sandbox does, and never out of it. No process of the
// tool runs yet, so the path can't change between this check and its use.
func (r *rootfs) inRoot(path string) (string, error) {
	host, err := securejoin.SecureJoin(r.root, path)
	if errors.Is(err, unix.ELOOP) { // whose text contains the path on the host
		err = fmt.Errorf("find %s in the image: %w", path, unix.ELOOP)
	}
	return host, err
}

// mkdirAll makes path and its missing parents in the sandbox, owned by the
// sandbox's root, and returns the path on the host. All of them become searchable
// by every user: a tool that isn't root must be able to reach a file that is
// mounted below /root.
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

// writeFile writes a small file into the image's root, readable by all users. It
// replaces an existing file or symbolic link, and never follows the link.
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

// finish sets the owner, in host ids, and the mode of a file that was just
// written, and closes it. err is the error of the write, or nil.
func finish(f *os.File, err error, uid, gid int, mode os.FileMode) error {
	if err == nil {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode) // chown clears bits
	}
	return errors.Join(err, f.Close())
}

// scratch makes an empty directory outside the image that the tool can write to,
// within the run's disk limit, and returns its path on the host.
func (r *rootfs) scratch(name string, mode os.FileMode) (string, error) {
	path := filepath.Join(r.dir, "scratch", name)
	uid, gid := r.user.hostIDs(r.firstID)
	if mode&os.ModeSticky != 0 {
		uid, gid = r.firstID, r.firstID
	}
	return path, r.mkdir(path, mode, uid, gid)
}

// mountSecrets mounts the memory file system for secret values, unless it is
// already mounted.
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
// mode and the tool's user as its owner, and returns its path on the host.
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

// hold mounts a folder of the image's root at a separate path, and returns that
// path. A shell in a kept sandbox is a second container with the same mounts. By
// then the tool may have replaced the folder with a link, which would lead out
// of the sandbox if the host followed it.
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

// diskBytes returns the number of bytes in use of the disk limit.
func (r *rootfs) diskBytes() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}

// fileBytes returns the number of bytes that all files of the sandbox take.
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

// full returns the file system of the sandbox that has no room left, or nil. It
// counts as full if at most 1/64 is free: a program whose write doesn't fit leaves
// some room.
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
