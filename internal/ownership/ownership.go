// Package ownership refuses files that another user could have put where a search finds them. A definition gets the secrets of the
// user who runs it. But a search may begin in a folder such as /tmp, reach it on its way up, or look for tests below it, and any user
// of the machine can make a file with a common name there. git has safe.directory for the same reason.
package ownership

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

// UntrustedError says that a search found a file in a place where another user could have put it.
type UntrustedError struct {
	// File is the file that the search found.
	File string
	// Path is the file, link or folder that isn't trusted: File, or something on the way to it.
	Path string
	// Owner is the owner of Path, for users.
	Owner string
	// Writable says that others may write to Path. If it is false, the owner of Path isn't trusted.
	Writable bool
	// Nearer says that Path is a folder that the search passed, where another user could put a file with the same name.
	Nearer bool
}

// Error says which file is refused, why, and how to use it anyway.
func (e *UntrustedError) Error() string {
	why := fmt.Sprintf("%s belongs to %s", e.Path, e.Owner)
	if e.Writable {
		why = fmt.Sprintf("others can write to %s, which belongs to %s", e.Path, e.Owner)
	}
	if e.Nearer {
		return fmt.Sprintf("%s was found by its name, and another user could put one with that name nearer: %s; to run it anyway, give its path: %s", e.File, why, e.File)
	}
	return fmt.Sprintf("%s was found by a search, and %s: whoever put it there would get your secrets; read it, and to run it anyway, give its path: %s", e.File, why, e.File)
}

// Search is a search for a name. It says how far the search went, and whose files it trusts.
type Search struct {
	// Above is the uppermost folder of the search; empty if the user gave the path of the file.
	Above string
	// Giver is the owner of the file that contains the name, if the user gave the path of that file; otherwise -1.
	Giver int
}

// GivenBy returns the search for names in a file whose path the user gave.
func GivenBy(file string) Search {
	nobody := Search{Giver: -1}
	info, err := os.Stat(file)
	if err != nil {
		return nobody
	}
	uid, _, known := ownerOf(info)
	if !known || uid == overflowUID && os.Getenv("MAYFLY_ROOTLESS") != "" { // in that namespace, the id stands for every other user
		return nobody
	}
	return Search{Giver: uid}
}

// Check returns an *[UntrustedError] unless only root, the user and the giver decide what is at a path: they own the file and all folders
// and links on the way to it, and others can't write to any of these. In a sticky folder such as /tmp others can't replace the
// user's files, so Check allows it above Above; but they can add files, so Check refuses it at Above and below.
func (s Search) Check(file string) error {
	if s.Above == "" {
		return nil
	}
	root, err := filepath.EvalSymlinks(s.Above)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	at, left := filepath.VolumeName(path)+string(filepath.Separator), split(strings.TrimPrefix(path, filepath.VolumeName(path)))
	var folder fs.FileInfo // the folder of at
	for links := 0; ; {
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) && folder != nil {
			// A sticky folder, such as /tmp, protects only existing files.
			if uid, others, group, _ := writers(filepath.Dir(at), folder); others || group {
				return &UntrustedError{File: file, Path: filepath.Dir(at), Owner: userName(uid), Writable: true}
			}
		}
		if err != nil {
			return err
		}
		if info.IsDir() {
			folder = info
		}
		where := elsewhere
		switch {
		case within(root, at):
			where = inside
		case within(at, root):
			where = around
		}
		if refused := s.judge(at, info, where); refused != nil {
			refused.File = file
			return refused
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			if links++; links > maxLinks {
				return fmt.Errorf("%s: too many links", file)
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at, folder = string(filepath.Separator), nil
			}
			left = append(split(target), left...)
		}
		if len(left) == 0 {
			return nil
		}
		at, left = filepath.Join(at, left[0]), left[1:]
	}
}

// within reports whether a path is the folder or below it.
func within(folder, path string) bool {
	separator := string(filepath.Separator)
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, separator)+separator)
}

// region is the place of something on the way to a file, relative to Search.Above.
type region int

const (
	elsewhere region = iota // a link led there
	around                  // a folder above Above
	inside                  // Above, or below it
)

// maxLinks is the number of links that Linux follows (path_resolution(7)).
const maxLinks = 40

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// judge checks one file, folder or link on the way. It returns nil if that is trusted, and otherwise an error without the File.
func (s Search) judge(path string, info fs.FileInfo, where region) *UntrustedError {
	uid, others, group, known := writers(path, info)
	if !known {
		return nil
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0: // the mode of a link has no meaning (symlink(7))
		others, group = false, false
	case info.IsDir() && where != inside:
		sticky := info.Mode()&fs.ModeSticky != 0
		// A user who shares the folder with a group trusts that group with the project in it.
		others, group = others && !sticky, group && !sticky && where != around
	}
	folder := ""
	if info.IsDir() && where == around {
		folder = path
	}
	if others || group || uid != s.Giver && !slices.Contains(trustedUsers(folder), uid) {
		return &UntrustedError{Path: path, Owner: userName(uid), Writable: others || group}
	}
	return nil
}

// trustedUsers returns root, the user, and the user who became root with sudo, as in git. In the user namespace of an ordinary user it
// may also return nobody, if Vetted says that mayfly checked the files before. around is a folder above Search.Above, or "".
func trustedUsers(around string) []int {
	uids := []int{0, os.Geteuid()}
	if os.Getenv("MAYFLY_ROOTLESS") != "" { // package oci has checked that mayfly itself set it
		vetted := os.Getenv(VettedEnv)
		dir, isAround := strings.CutPrefix(vetted, string(VettedAround))
		if vetted == string(VettedAll) || isAround && around != "" && within(around, dir) {
			uids = append(uids, overflowUID)
		}
		return uids
	}
	if sudo, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && os.Geteuid() == 0 {
		uids = append(uids, sudo)
	}
	return uids
}

// Vetted is what mayfly checked before it entered the user namespace of an ordinary user (package oci). In that namespace all files that
// don't belong to the user belong to nobody, those of root and those of other users. So nobody is trusted only for files that were
// checked before.
type Vetted string

const (
	// VettedAll means all definitions with their files.
	VettedAll Vetted = "all"
	// VettedAround is a prefix. After it comes the folder where the search for names begins; the folders above that folder
	// were checked.
	VettedAround Vetted = "around:"

	// VettedEnv is the environment variable with the value in the namespace.
	VettedEnv = "MAYFLY_VETTED"
)

// Vet checks startDir and the folders above it. It returns "" if one of them isn't trusted.
func Vet(startDir string) Vetted {
	dir, err := filepath.Abs(startDir)
	if err != nil || (Search{dir, -1}).Check(dir) != nil {
		return ""
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return ""
	}
	return VettedAround + Vetted(dir)
}

// overflowUID is the id of owners that a user namespace doesn't map (user_namespaces(7)).
const overflowUID = 65534

// writers returns a file's owner, and whether others and a group may write to it. known is false on systems without such owners.
func writers(path string, info fs.FileInfo) (uid int, others, group, known bool) {
	uid, gid, known := ownerOf(info)
	if !known {
		return uid, false, false, false
	}
	others, group = info.Mode()&0o002 != 0, info.Mode()&0o020 != 0
	// A group whose id is that of the owner usually has no other members. With an access control list, the group bits are the
	// mask of all entries (acl(5)).
	return uid, others, group && (gid != 0 && gid != uid || hasACL(path)), true
}

func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, number)
	}
	return "uid " + number
}

// CheckTree is like [Search.Check], for a file, or for a folder and everything in it. The path may be a link. CheckTree returns nil for
// missing files, which are reported when they are read.
func (s Search) CheckTree(path string) error {
	if err := s.Check(path); err != nil {
		return absent(err)
	}
	target, err := filepath.EvalSymlinks(path) // WalkDir doesn't follow links
	if err != nil {
		return absent(err)
	}
	return filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = s.Check(path)
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

// CheckBelow returns an *[UntrustedError] if another user could have put a file where a search found it below a folder.
func CheckBelow(folder, file string) error {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	return Search{dir, -1}.Check(file)
}
