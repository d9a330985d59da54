//go:build unix

package drafts

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file that replaces another one to that one's owner, if this process may: root may edit another user's files.
func keepOwner(f *os.File, old fs.FileInfo) {
	if is, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(is.Uid), int(is.Gid)) // otherwise the file is the editor's
	}
}

// inode is the number of a file in its file system.
func inode(info fs.FileInfo) uint64 {
	if is, ok := info.Sys().(*syscall.Stat_t); ok {
		return is.Ino
	}
	return 0
}
