//go:build !unix

package drafts

import (
	"io/fs"
	"os"
)

func keepOwner(*os.File, fs.FileInfo) {}

func inode(fs.FileInfo) uint64 { return 0 }
