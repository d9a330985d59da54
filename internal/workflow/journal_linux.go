package workflow

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData calls fdatasync(2), because the times of a journal file don't matter.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
