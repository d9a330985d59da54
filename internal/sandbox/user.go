package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/engine"
)

// identity is who the tool runs as, in the sandbox's own numbers.
type identity struct {
	uid, gid int
	groups   []int
	home     string // as the image's passwd has it, or ""
	// files are /etc/passwd and /etc/group as the sandbox needs them, where the
	// image's have no line for the user or the group.
	files map[string]string
}

// maxPasswdBytes bounds what is read of the image's user files, which are as
// hostile as the rest of the image (SECURITY M07).
const maxPasswdBytes = 1 << 20

// hostIDs is the user's ids on the host.
func (i identity) hostIDs(firstID int) (uid, gid int) { return firstID + i.uid, firstID + i.gid }

// lookUpUser resolves "uid[:gid]" or "name[:group]" with the image's own
// /etc/passwd and /etc/group.
func (r *rootfs) lookUpUser(name string, idCount int) (identity, error) {
	passwd, err := r.openUserFile(passwdFile)
	if err != nil {
		return identity{}, err
	}
	group, err := r.openUserFile(groupFile)
	if err != nil {
		return identity{}, err
	}
	found, err := user.GetExecUser(name, &user.ExecUser{Uid: 0, Gid: 0, Home: ""}, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		return identity{}, &engine.InvalidError{Field: fmt.Sprintf("user %q", name), Why: err.Error()}
	}
	id := identity{uid: found.Uid, gid: found.Gid, groups: found.Sgids, home: found.Home}
	for _, n := range append([]int{id.uid, id.gid}, id.groups...) {
		if n < 0 || n >= idCount {
			return identity{}, &engine.InvalidError{Field: fmt.Sprintf("user %q", name), Why: fmt.Sprintf("id %d is outside 0 to %d, the ids that a sandbox has", n, idCount-1)}
		}
	}
	id.files = map[string]string{}
	if !names(passwd, id.uid) {
		id.files[passwdFile] = passwd
	}
	if !names(group, id.gid) {
		id.files[groupFile] = group
	}
	return id, nil
}

// homeOf is the tool's home directory: as its environment says, otherwise the
// image's passwd; a user that has none, or one that can't be made writable,
// gets root's, since that is where tools' volumes for credentials are mounted.
func (r *rootfs) homeOf(spec *engine.Spec) string {
	home := r.user.home
	for _, v := range spec.Environment {
		if v.Name == "HOME" && v.Secret == "" {
			home = v.Value
		}
	}
	home = filepath.Clean(home)
	if home == "/" || home == "/nonexistent" || r.checkPlace("home directory", home) != nil || r.notFolder(home) {
		return rootHome
	}
	return home
}

// notFolder reports whether the image has something other than a folder at a path, or on the way there.
func (r *rootfs) notFolder(at string) bool {
	host, err := r.inRoot(at)
	if err != nil {
		return true
	}
	info, err := os.Lstat(host)
	return err == nil && !info.IsDir() || errors.Is(err, unix.ENOTDIR)
}

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// names says whether a line of a user file, name:password:id:…, has an id.
func names(file string, id int) bool {
	for line := range strings.Lines(file) {
		if fields := strings.Split(strings.TrimRight(line, "\n"), ":"); len(fields) > 2 && fields[2] == strconv.Itoa(id) {
			return true
		}
	}
	return false
}

// nameUser gives a user or a group without a name a line of its own, as other
// engines do: ssh, git and Python's getpass refuse to work for nobody.
func (r *rootfs) nameUser() error {
	for file, text := range r.user.files {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		name, id := "tool", r.user.uid
		if file == groupFile {
			id = r.user.gid
		}
		if id == 0 {
			name = "root"
		}
		if strings.Contains("\n"+text, "\n"+name+":") {
			name = strconv.Itoa(id)
		}
		line := fmt.Sprintf("%s:x:%d:\n", name, id)
		if file == passwdFile {
			line = fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, r.user.gid, r.home)
		}
		if err := r.writeFile(file, []byte(text+line)); err != nil {
			return fmt.Errorf("give the tool's user a name in %s of the sandbox: %w", file, err)
		}
	}
	return nil
}

// openUserFile reads one of the image's user files; a missing one is empty.
func (r *rootfs) openUserFile(path string) (string, error) {
	host, err := r.inRoot(path)
	if err != nil {
		return "", err
	}
	// O_NONBLOCK: a FIFO in its place must not block the start.
	f, err := os.OpenFile(host, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", &engine.InvalidError{Field: "image", Why: path + " is not a regular file"}
	}
	data, err := document.Read(f, maxPasswdBytes)
	if errors.Is(err, document.ErrTooLarge) {
		return "", &engine.InvalidError{Field: "image", Why: fmt.Sprintf("%s is larger than %d bytes", path, maxPasswdBytes)}
	}
	return string(data), err
}
