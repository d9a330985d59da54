package workflow

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync(2): a journal's times don't matter.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
