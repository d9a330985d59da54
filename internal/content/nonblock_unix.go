//go:build unix

package content

import "syscall"

const nonblock = syscall.O_NONBLOCK
