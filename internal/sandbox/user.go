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

// identity is the tool's user, with ids of the sandbox.
type identity struct {
	uid, gid int
	groups   []int
	home     string // from the image's /etc/passwd, or ""
	// files has the image's /etc/passwd or /etc/group, by path, if it has no line
	// for the user or the group (nameUser).
	files map[string]string
}

// maxPasswdBytes is the limit in bytes of each of the image's user files, which
// are as hostile as the rest of the image (SECURITY M07).
const maxPasswdBytes = 1 << 20

// hostIDs returns the user's ids on the host.
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

// homeOf returns the tool's home directory: that of its environment, otherwise
// that of the image's /etc/passwd. A user without one, or with one that can't be
// made writable, gets root's, because tools mount volumes with credentials there.
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

// names reports whether a user file, with lines name:password:id:…, has a line
// with an id.
func names(file string, id int) bool {
	for line := range strings.Lines(file) {
		if fields := strings.Split(strings.TrimRight(line, "\n"), ":"); len(fields) > 2 && fields[2] == strconv.Itoa(id) {
			return true
		}
	}
	return false
}

// nameUser adds a line for a user or group without a name, as other engines do:
// ssh, git and Python's getpass refuse to work for a user without a name.
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

// openUserFile reads one of the image's user files. It returns "" if the file
// doesn't exist.
func (r *rootfs) openUserFile(path string) (string, error) {
	host, err := r.inRoot(path)
	if err != nil {
		return "", err
	}
	// O_NONBLOCK, because a FIFO in its place must not block the start.
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
