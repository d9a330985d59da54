//go:build linux

package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// denied has the system calls that the profile refuses. Each is made with arguments that have no effect if it is allowed:
// mostly bad pointers and descriptors, which give EFAULT, EBADF or EINVAL.
var denied = []struct {
	name string
	nr   uintptr
	args []uintptr
}{
	{"ptrace", unix.SYS_PTRACE, []uintptr{unix.PTRACE_PEEKUSR}},
	{"process_vm_readv", unix.SYS_PROCESS_VM_READV, []uintptr{1}},
	{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, []uintptr{1}},
	{"kcmp", unix.SYS_KCMP, []uintptr{1, 1}},
	{"keyctl", unix.SYS_KEYCTL, []uintptr{0}},
	{"add_key", unix.SYS_ADD_KEY, nil},
	{"request_key", unix.SYS_REQUEST_KEY, nil},
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, []uintptr{1}},
	{"io_uring_enter", unix.SYS_IO_URING_ENTER, []uintptr{bad}},
	{"io_uring_register", unix.SYS_IO_URING_REGISTER, []uintptr{bad}},
	{"userfaultfd", unix.SYS_USERFAULTFD, []uintptr{1}}, // UFFD_USER_MODE_ONLY
	{"bpf", unix.SYS_BPF, nil},
	{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, nil},
	{"mknodat", unix.SYS_MKNODAT, []uintptr{bad}},
	{"io_setup", unix.SYS_IO_SETUP, []uintptr{1, bad}},
	{"unshare", unix.SYS_UNSHARE, nil},
	{"setns", unix.SYS_SETNS, []uintptr{bad}},
	{"mount", unix.SYS_MOUNT, nil},
	{"umount2", unix.SYS_UMOUNT2, nil},
	{"pivot_root", unix.SYS_PIVOT_ROOT, nil},
	{"fsopen", unix.SYS_FSOPEN, nil},
	{"fsconfig", unix.SYS_FSCONFIG, []uintptr{bad}},
	{"fsmount", unix.SYS_FSMOUNT, []uintptr{bad}},
	{"fspick", unix.SYS_FSPICK, []uintptr{bad}},
	{"move_mount", unix.SYS_MOVE_MOUNT, []uintptr{bad}},
	{"open_tree", unix.SYS_OPEN_TREE, []uintptr{bad}},
	{"mount_setattr", unix.SYS_MOUNT_SETATTR, []uintptr{bad}},
	{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, []uintptr{bad}},
	{"name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, []uintptr{bad}},
	// Calls that the profile refuses because of their arguments.
	{"mmap MAP_HUGETLB", unix.SYS_MMAP, []uintptr{0, 2 << 20, unix.PROT_READ, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_HUGETLB, bad, 0}},
	{"memfd_create MFD_HUGETLB", unix.SYS_MEMFD_CREATE, []uintptr{0, unix.MFD_HUGETLB}},
	{"shmget SHM_HUGETLB", unix.SYS_SHMGET, []uintptr{unix.IPC_PRIVATE, 2 << 20, 0o4000 | 0o600}},
	{"madvise MADV_MERGEABLE", unix.SYS_MADVISE, []uintptr{0, 0, unix.MADV_MERGEABLE}},
	{"madvise MADV_COLD", unix.SYS_MADVISE, []uintptr{0, 0, unix.MADV_COLD}},
	{"madvise MADV_PAGEOUT", unix.SYS_MADVISE, []uintptr{0, 0, unix.MADV_PAGEOUT}},
	{"prctl PR_SCHED_CORE", unix.SYS_PRCTL, []uintptr{unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, unix.PR_SCHED_CORE_SCOPE_THREAD}},
	{"ioctl TIOCSETD", unix.SYS_IOCTL, []uintptr{bad, unix.TIOCSETD}},
	{"ioctl SIOCGIFBR", unix.SYS_IOCTL, []uintptr{bad, unix.SIOCGIFBR}},
	{"ioctl SIOCSIFBR", unix.SYS_IOCTL, []uintptr{bad, unix.SIOCSIFBR}},
	{"ioctl SIOCADDDLCI", unix.SYS_IOCTL, []uintptr{bad, unix.SIOCADDDLCI}},
	{"ioctl SIOCGIFVLAN", unix.SYS_IOCTL, []uintptr{bad, 0x8982}},
	{"ioctl SIOCBRADDBR", unix.SYS_IOCTL, []uintptr{bad, 0x89a0}},
	{"ioctl TIOCSETD beyond", unix.SYS_IOCTL, []uintptr{bad, unix.TIOCSETD | beyond}},
	{"splice", unix.SYS_SPLICE, []uintptr{bad, 0, bad, 0, 1}},
	{"sendfile", unix.SYS_SENDFILE, []uintptr{bad, bad, 0, 1}},
	{"getsockopt TCP_ZEROCOPY_RECEIVE", unix.SYS_GETSOCKOPT, []uintptr{bad, unix.SOL_TCP, 35}},
	{"fadvise64 POSIX_FADV_DONTNEED", unix.SYS_FADVISE64, []uintptr{bad, 0, 0, unix.FADV_DONTNEED}},
	{"setsockopt IP_ADD_MEMBERSHIP", unix.SYS_SETSOCKOPT, []uintptr{bad, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP}},
	{"setsockopt MCAST_JOIN_GROUP", unix.SYS_SETSOCKOPT, []uintptr{bad, unix.SOL_IPV6, unix.MCAST_JOIN_GROUP}},
	{"personality ADDR_NO_RANDOMIZE", unix.SYS_PERSONALITY, []uintptr{0x0040000}},
	// Calls that the moby profile refuses to a process without capabilities.
	{"acct", unix.SYS_ACCT, []uintptr{1}},
	{"bad_number", 9999, nil},
	{"chroot", unix.SYS_CHROOT, nil},
	{"clock_settime", unix.SYS_CLOCK_SETTIME, nil},
	{"delete_module", unix.SYS_DELETE_MODULE, nil},
	{"fanotify_init", unix.SYS_FANOTIFY_INIT, []uintptr{^uintptr(0)}},
	{"finit_module", unix.SYS_FINIT_MODULE, []uintptr{bad}},
	{"init_module", unix.SYS_INIT_MODULE, nil},
	{"kexec_load", unix.SYS_KEXEC_LOAD, []uintptr{0, 1 << 20}},
	{"lookup_dcookie", unix.SYS_LOOKUP_DCOOKIE, nil},
	{"mbind", unix.SYS_MBIND, nil},
	{"migrate_pages", unix.SYS_MIGRATE_PAGES, []uintptr{^uintptr(0)}},
	{"move_pages", unix.SYS_MOVE_PAGES, []uintptr{^uintptr(0)}},
	{"nfsservctl", unix.SYS_NFSSERVCTL, nil},
	{"quotactl", unix.SYS_QUOTACTL, nil},
	{"reboot", unix.SYS_REBOOT, nil},
	{"sethostname", unix.SYS_SETHOSTNAME, nil},
	{"setdomainname", unix.SYS_SETDOMAINNAME, nil},
	{"settimeofday", unix.SYS_SETTIMEOFDAY, nil},
	{"swapon", unix.SYS_SWAPON, nil},
	{"swapoff", unix.SYS_SWAPOFF, nil},
	{"syslog", unix.SYS_SYSLOG, []uintptr{10}},
	{"vhangup", unix.SYS_VHANGUP, nil},
}

const bad = ^uintptr(0) // descriptor -1

func syscalls([]string) {
	runtime.LockOSThread()
	for _, s := range append(denied, deniedHere...) {
		report(s.name, raw(s.nr, s.args...))
	}
}

// sockets tries every family of sockets (socket(2)), except for the allowed kinds, and raw sockets of the allowed families.
func sockets([]string) {
	socketFamilies()
	for protocol := range 32 { // protocols of netlink
		if protocol == unix.NETLINK_ROUTE {
			continue
		}
		_, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, protocol)
		report(fmt.Sprintf("netlink %d", protocol), err)
	}
	// Protocols whose code the kernel would load as a module.
	for _, protocol := range []int{unix.IPPROTO_DCCP, unix.IPPROTO_L2TP, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE, 256 /* IPPROTO_SMC */, unix.IPPROTO_MPTCP} {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
			for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
				_, err := unix.Socket(family, kind, protocol)
				report(fmt.Sprintf("family %d type %d protocol %d", family, kind, protocol), err)
			}
		}
	}
	for _, protocol := range []int{unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_RAW} {
		_, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, protocol)
		report(fmt.Sprintf("raw ip %d", protocol), err)
	}
}

func socketFamilies() {
	kinds := []struct {
		name string
		kind int
	}{{"stream", unix.SOCK_STREAM}, {"dgram", unix.SOCK_DGRAM}, {"raw", unix.SOCK_RAW}, {"seqpacket", unix.SOCK_SEQPACKET}, {"rdm", unix.SOCK_RDM}, {"packet", unix.SOCK_PACKET}}
	for family := range 64 {
		for _, k := range kinds {
			protocol := 0
			if family == unix.AF_INET || family == unix.AF_INET6 {
				if k.name == "stream" || k.name == "dgram" {
					continue
				}
				if k.name == "raw" || k.name == "packet" {
					protocol = unix.IPPROTO_RAW // a raw socket needs a protocol
				}
			}
			if family == unix.AF_UNIX {
				continue // its raw sockets are datagram sockets (unix(7))
			}
			if family == unix.AF_NETLINK {
				protocol = unix.NETLINK_GENERIC // NETLINK_ROUTE is allowed
			}
			fd, err := unix.Socket(family, k.kind, protocol)
			if err == nil {
				_ = unix.Close(fd)
			}
			report(fmt.Sprintf("family %d %s", family, k.name), err)
		}
		if family != unix.AF_UNIX {
			_, err := unix.Socketpair(family, unix.SOCK_STREAM, 0)
			report(fmt.Sprintf("pair %d", family), err)
		}
	}
}

// foreign calls getpid of another system call table, in a child with one thread: the filter ends only the calling thread, and
// this program has several.
func foreign(call func() int64) {
	if call == nil {
		fmt.Println("foreign\tnone on this processor")
		return
	}
	runtime.LockOSThread()
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		report("clone", errno)
		return
	}
	if pid == 0 {
		status := uintptr(0)
		if n := call(); n < 0 {
			status = uintptr(-n)
		}
		_ = raw(unix.SYS_EXIT_GROUP, status)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		report("wait", err)
		return
	}
	if status.Signaled() {
		fmt.Printf("foreign\t%s\n", unix.SignalName(status.Signal()))
		return
	}
	report("foreign", unix.Errno(status.ExitStatus()))
}
