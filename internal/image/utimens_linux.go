package image

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// utimensFD calls utimensat(2) with a null path, which means the descriptor itself. The wrapper in x/sys always passes a path.
func utimensFD(fd int, ts *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
