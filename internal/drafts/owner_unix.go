//go:build unix

package drafts

import (
	"io/fs"
	"os"
	"syscall"
)

// unmapped is what ids that a namespace of users doesn't have look like (user_namespaces(7)). It may have this very id, as another user's.
const unmapped = 65534

// keepOwner gives a file that replaces another one to that one's owner and group, if this process may: root may edit another user's files.
func keepOwner(f *os.File, old fs.FileInfo) {
	is, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	uid, gid := int(is.Uid), int(is.Gid)
	if uid == unmapped {
		uid = -1
	}
	if gid == unmapped {
		gid = -1
	}
	_ = f.Chown(uid, gid) // otherwise the file is the editor's
}

// inode is the number of a file in its file system.
func inode(info fs.FileInfo) uint64 {
	if is, ok := info.Sys().(*syscall.Stat_t); ok {
		return is.Ino
	}
	return 0
}
