//go:build linux

package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// beyond is a bit that the kernel ignores in an argument of which it uses only 32 bits.
const beyond = 1 << 32

// filters tries to install a small program of classic BPF in every way, also with a bit beyond those that the kernel looks
// at. A program that is allowed disappears with its socket.
func filters([]string) {
	runtime.LockOSThread()
	code := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}}
	program := unix.SockFprog{Len: 1, Filter: &code[0]}
	at, size := uintptr(unsafe.Pointer(&program)), unsafe.Sizeof(program)
	for _, family := range []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
		for _, o := range []struct {
			name   string
			option uintptr
		}{
			{"SO_ATTACH_FILTER", unix.SO_ATTACH_FILTER},
			{"SO_ATTACH_BPF", unix.SO_ATTACH_BPF},
			{"SO_ATTACH_REUSEPORT_CBPF", unix.SO_ATTACH_REUSEPORT_CBPF},
			{"SO_ATTACH_REUSEPORT_EBPF", unix.SO_ATTACH_REUSEPORT_EBPF},
		} {
			for _, spelled := range []struct {
				name          string
				level, option uintptr
			}{
				{"", unix.SOL_SOCKET, o.option},
				{" level beyond", unix.SOL_SOCKET | beyond, o.option},
				{" option beyond", unix.SOL_SOCKET, o.option | beyond},
			} {
				fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
				if err != nil {
					report("socket", err)
					return
				}
				err = raw(unix.SYS_SETSOCKOPT, uintptr(fd), spelled.level, spelled.option, at, size)
				report(fmt.Sprintf("%s family %d%s", o.name, family, spelled.name), err)
				_ = unix.Close(fd)
			}
		}
	}
	for _, high := range []uintptr{0, beyond} {
		report(fmt.Sprintf("seccomp %x", high), raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER|high, 0, at))
		report(fmt.Sprintf("prctl %x", high), raw(unix.SYS_PRCTL, unix.PR_SET_SECCOMP|high, unix.SECCOMP_MODE_FILTER, at))
	}
	runtime.KeepAlive(code)
}
