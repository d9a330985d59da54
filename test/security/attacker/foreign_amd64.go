//go:build linux

package main

import "golang.org/x/sys/unix"

// deniedHere has the denied system calls that only this processor has.
var deniedHere = []struct {
	name string
	nr   uintptr
	args []uintptr
}{
	{"mknod", unix.SYS_MKNOD, []uintptr{0, unix.S_IFCHR}},
	{"iopl", unix.SYS_IOPL, []uintptr{3}},
	{"ioperm", unix.SYS_IOPERM, []uintptr{0, 1, 1}},
	{"create_module", unix.SYS_CREATE_MODULE, nil},
	{"kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, []uintptr{bad, bad}},
	{"uselib", unix.SYS_USELIB, nil},
	{"ustat", unix.SYS_USTAT, nil},
	{"_sysctl", unix.SYS__SYSCTL, nil},
	{"socketcall", 102 | 1<<29, nil},
}

// call80 and callX32 are in foreign_amd64.s.
func call80() int64
func callX32() int64

var (
	int80 = call80
	x32   = callX32
)
