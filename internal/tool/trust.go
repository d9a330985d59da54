package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// This file refuses definitions that another user could have planted where a search finds them. A definition gets the
// secrets of whoever runs it, and a search that climbs may come to a folder such as /tmp, where any user of the machine can
// make one of a common name. git has safe.directory against the same.

// UntrustedError says that a file was found by climbing to a folder above, where another user could have put it.
type UntrustedError struct {
	// File is what would have been read, Path the file, link or folder at fault: File, or one that it is in.
	File, Path string
	// Owner is whose Path is.
	Owner string
	// Writable says that others may write to Path; otherwise it is its owner who isn't trusted.
	Writable bool
}

// Error says what is refused, why, and how to use it all the same.
func (e *UntrustedError) Error() string {
	why := fmt.Sprintf("%s belongs to %s", e.Path, e.Owner)
	if e.Writable {
		why = fmt.Sprintf("others can write to %s, which belongs to %s", e.Path, e.Owner)
	}
	return fmt.Sprintf("%s was found by its name in a folder above, and %s: whoever put it there would get your secrets; read it, and to run it all the same give its path: %s", e.File, why, e.File)
}

// trusted returns an *[UntrustedError] unless file, the folders that it is in up to and including above, and what links
// lead to belong to root or the user and can be written by nobody else. A sticky folder is no exception: anybody can add
// to it.
func trusted(above, file string) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	paths := chain(above, file)
	if target != file {
		paths = append(paths, target, filepath.Dir(target))
	}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		uid, gid, known := ownerOf(info)
		if !known {
			continue // of a system that has no owners of this kind
		}
		writable := info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && gid != 0 && gid != uid // a group of the owner alone has its number
		writable = writable && info.Mode()&fs.ModeSymlink == 0                                 // whose mode says nothing, symlink(7)
		if writable || !slices.Contains(trustedUsers(), uid) {
			return &UntrustedError{File: file, Path: path, Owner: userName(uid), Writable: writable}
		}
	}
	return nil
}

// chain is a file and the folders that it is in, up to above; its own folder alone where it is elsewhere.
func chain(above, file string) []string {
	paths := []string{file, filepath.Dir(file)}
	if inside, err := filepath.Rel(above, file); err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return paths
	}
	for dir := filepath.Dir(file); dir != above && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		paths = append(paths, dir)
	}
	return paths
}

// trustedUsers are root, the user, and whoever became root by sudo, as for git.
func trustedUsers() []int {
	uids := []int{0, os.Geteuid()}
	if os.Getenv(VettedEnv) != "" {
		return append(uids, overflowUID)
	}
	if sudo, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && os.Geteuid() == 0 {
		uids = append(uids, sudo)
	}
	return uids
}

// VettedEnv is set in the user namespace of an ordinary user (package oci) for a process whose definitions were all looked
// at before it was entered. Inside, what isn't the user's belongs to nobody, root's files as those of others, and nobody is
// trusted only then.
const VettedEnv = "MAYFLY_VETTED"

// overflowUID stands for owners that a user namespace has no number for (user_namespaces(7)).
const overflowUID = 65534

func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, number)
	}
	return "uid " + number
}

// trustFiles is [trusted] for the files that a tool names: its script, and what its volumes mount, whole folders included.
func (t *Tool) trustFiles(above string) error {
	if above == "" {
		return nil
	}
	if t.Script != nil && t.Script.File != "" {
		if err := trustTree(above, filepath.Join(t.Source.Dir, t.Script.File)); err != nil {
			return err
		}
	}
	for _, v := range t.Volumes {
		if v.File == "" {
			continue
		}
		if err := trustTree(above, filepath.Join(t.Source.Dir, v.File)); err != nil {
			return err
		}
	}
	return nil
}

// trustTree is [trusted] for all that is in a folder, too, which may be a link's. What isn't there is for whoever reads it
// to report.
func trustTree(above, path string) error {
	if err := trusted(above, path); err != nil {
		return absent(err)
	}
	target, err := filepath.EvalSymlinks(path) // WalkDir stays at a link
	if err != nil {
		return absent(err)
	}
	return filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = trusted(above, path)
		}
		return absent(err)
	})
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
