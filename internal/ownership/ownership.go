// Package ownership refuses files that another user could have planted where a search finds them. A definition gets the secrets
// of whoever runs it, and a search may begin in a folder such as /tmp or climb to it, where any user of the machine can make
// one of a common name, or look for tests below one. git has safe.directory against the same.
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

// UntrustedError says that a file was found by a search in a place where another user could have put it.
type UntrustedError struct {
	// File is what would have been read, Path the file, link or folder at fault: File, or one that it is in.
	File, Path string
	// Owner is whose Path is.
	Owner string
	// Writable says that others may write to Path; otherwise it is its owner who isn't trusted.
	Writable bool
	// Nearer says that Path is a folder that the search came through, where another user could put one of the same name.
	Nearer bool
}

// Error says what is refused, why, and how to use it all the same.
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

// Search is how far the search for a name came, and whose files it takes.
type Search struct {
	// Above is the folder that it came to; empty for a file that was given by its path.
	Above string
	// Giver is the owner of the file, given by its path, that contains the name; -1 if there is none.
	Giver int
}

// GivenBy is the search for names that a file has which was given by its path.
func GivenBy(file string) Search {
	nobody := Search{Giver: -1}
	info, err := os.Stat(file)
	if err != nil {
		return nobody
	}
	uid, _, known := ownerOf(info)
	if !known || uid == overflowUID && os.Getenv("MAYFLY_ROOTLESS") != "" { // which is everybody there
		return nobody
	}
	return Search{Giver: uid}
}

// Check returns an *[UntrustedError] unless nobody but root, the user and the giver decides what is read at a path: all
// folders and links on the way to it belong to them, and others can write neither to those nor to the file. Up to Above a
// sticky folder such as /tmp is no danger to what the user has in it; from there on anybody could add to one.
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
	var folder fs.FileInfo // that the last step led into
	for links := 0; ; {
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) && folder != nil {
			// A sticky folder, such as /tmp, protects what is there only.
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

// within reports whether a path is a folder or below it.
func within(folder, path string) bool {
	separator := string(filepath.Separator)
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, separator)+separator)
}

// region is where something on the way stands, by the folder that was climbed to.
type region int

const (
	elsewhere region = iota // a link led there
	around                  // a folder that that folder is in
	inside                  // it, and what is below it
)

// maxLinks is as many as Linux follows (path_resolution(7)).
const maxLinks = 40

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// judge looks at one file, folder or link on the way.
func (s Search) judge(path string, info fs.FileInfo, where region) *UntrustedError {
	uid, others, group, known := writers(path, info)
	if !known {
		return nil
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0: // whose mode says nothing, symlink(7)
		others, group = false, false
	case info.IsDir() && where != inside:
		sticky := info.Mode()&fs.ModeSticky != 0
		// Who shares a folder with a group has the project in it all the same.
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

// trustedUsers are root, the user, and whoever became root by sudo, as for git; in the user namespace of an ordinary user also
// nobody, as far as was looked at before: around is a folder around the one that was climbed to, or "".
func trustedUsers(around string) []int {
	uids := []int{0, os.Geteuid()}
	if os.Getenv("MAYFLY_ROOTLESS") != "" { // which package oci has checked
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

// Vetted is what was looked at before the user namespace of an ordinary user (package oci) was entered. Inside, what isn't
// the user's belongs to nobody, root's files as those of others, so that nobody can be trusted only with what was.
type Vetted string

const (
	// VettedAll is all definitions with their files.
	VettedAll Vetted = "all"
	// VettedAround begins with this and goes on with the folder where names are looked for first, whose folders around it
	// were looked at.
	VettedAround Vetted = "around:"

	// VettedEnv is the variable that says so inside.
	VettedEnv = "MAYFLY_VETTED"
)

// Vet looks at the folders around startDir.
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

// overflowUID stands for owners that a user namespace has no number for (user_namespaces(7)).
const overflowUID = 65534

// writers are a file's owner, and whether others and a group may write to it; known is false on a system that has no owners
// of this kind.
func writers(path string, info fs.FileInfo) (uid int, others, group, known bool) {
	uid, gid, known := ownerOf(info)
	if !known {
		return uid, false, false, false
	}
	others, group = info.Mode()&0o002 != 0, info.Mode()&0o020 != 0
	// A group of the owner alone has its number. With an access control list the bits are what any of it may (acl(5)).
	return uid, others, group && (gid != 0 && gid != uid || hasACL(path)), true
}

func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, number)
	}
	return "uid " + number
}

// CheckTree is [Search.Check] for all that is in a folder, too, which may be a link's. What isn't there is for whoever reads it
// to report.
func (s Search) CheckTree(path string) error {
	if err := s.Check(path); err != nil {
		return absent(err)
	}
	target, err := filepath.EvalSymlinks(path) // WalkDir stays at a link
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

// CheckBelow returns an *[UntrustedError] where another user could have put a file that a search found below a folder.
func CheckBelow(folder, file string) error {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	return Search{dir, -1}.Check(file)
}
