package sandbox

import (
	"math/bits"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// docs/KERNEL-SURFACE.md lists the decisions of this file with their reasons. A
// test compares the list with the kernel that a sandbox sees (TestI24).

// refusedSyscalls are calls that are removed from the moby profile. Each has
// been a way out of a container, shows other processes, or holds or queues
// something in the kernel that no limit of the run counts. No operations tool
// needs them. Programs treat the errno as that of a kernel without the call, and
// fall back.
var refusedSyscalls = []struct {
	errno unix.Errno
	names []string
}{
	{unix.EPERM, []string{
		"ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
		"keyctl", "add_key", "request_key",
		"io_uring_setup", "io_uring_enter", "io_uring_register",
		"userfaultfd", "bpf", "perf_event_open", "fanotify_mark",
		// Contexts of asynchronous I/O are counted for the whole host (fs.aio-max-nr).
		"io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
		"unshare", "setns", "mount", "umount", "umount2", "pivot_root",
		"fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr",
		"open_by_handle_at", "name_to_handle_at",
	}},
	{unix.ENOSYS, []string{
		"memfd_secret",           // removes pages from the host's direct map
		"modify_ldt",             // has had holes; only DOS and Windows emulators use it
		"cachestat",              // reveals which parts of shared layers others have read
		"statmount", "listmount", // reveal more about mounts than mountinfo
		// The bytes of POSIX queues count for the user that made the sandbox: for
		// root, those of all runs together (RLIMIT_MSGQUEUE, getrlimit(2)).
		"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
	}},
	// An access control list takes up to 64 KiB of kernel memory for each inode,
	// which no cgroup counts (acl(5)).
	{unix.EOPNOTSUPP, []string{"setxattr", "lsetxattr", "fsetxattr", "setxattrat"}},
	// One byte of a socket that is moved into a pipe keeps its block of 32 KiB,
	// which no cgroup counts once the rest is read. EINVAL is the errno for kinds
	// of files that can't be spliced; programs then copy.
	{unix.EINVAL, []string{"splice", "sendfile"}},
	// They would write out the dirty pages of the whole host, and wait for it. A
	// tool can write only to memory.
	{success, []string{"sync", "syncfs"}},
}

// success is the errno of a call that does nothing and succeeds.
const success = unix.Errno(0)

// span is a range of numbers from first to last, both included.
type span struct{ first, last uint64 }

// socketOptions are the options of SOL_SOCKET that are allowed. The refused ones, and the reasons:
//
//	 8          SO_RCVBUF does nothing and succeeds, as on a host where net.core.rmem_max has its default value.
//	            No cgroup counts queues of errors, of connections that aren't accepted yet, and of ping sockets.
//	18          SO_RCVLOWAT enlarges the same queues.
//	26 50 51 52 SO_ATTACH_FILTER, SO_ATTACH_BPF, and the same for groups of sockets: compiled filters fill the
//	            host's net.core.bpf_jit_limit, and their release has locked kernels up.
//	37 65       SO_TIMESTAMPING, and 60 and 61, SO_ZEROCOPY and SO_TXTIME, put sent packets into a queue of errors.
//	73          SO_RESERVE_MEM reserves memory of the host's net.ipv4.tcp_mem and udp_mem without holding data.
//	78 and more are about the memory of devices, or don't exist yet.
//
// The other lists are those of the other levels. An ignored option does nothing and succeeds.
var (
	socketOptions = []span{{0, 7}, {9, 17}, {19, 25}, {27, 36}, {38, 49}, {53, 59}, {62, 64}, {66, 72}, {74, 77}}
	// Resolvers fail unless they can ask for errors (IP_RECVERR), so that option is ignored. Resolvers of multicast names,
	// which lead nowhere here, fail unless they can join a group (35 to 48; for IPv6 20, 21, 27, 28 and 42 to 48), so those
	// are ignored too. They aren't allowed, because no cgroup counts memberships, and the end of one searches a list under a
	// lock of the whole host's network.
	ipOptions = []span{{0, unix.IP_RECVERR - 1}, {unix.IP_RECVERR + 1, unix.IP_ADD_MEMBERSHIP - 1}, {unix.MCAST_MSFILTER + 1, 63}}
	ipIgnored = []span{{unix.IP_RECVERR, unix.IP_RECVERR}, {unix.IP_ADD_MEMBERSHIP, unix.MCAST_MSFILTER}}
	// 32 is IPV6_FLOWLABEL_MGR: there are 4,096 labels for the whole host.
	ipv6Options = []span{{0, unix.IPV6_ADD_MEMBERSHIP - 1}, {unix.IPV6_DROP_MEMBERSHIP + 1, unix.IPV6_RECVERR - 1}, {unix.IPV6_RECVERR + 1, unix.IPV6_JOIN_ANYCAST - 1}, {unix.IPV6_LEAVE_ANYCAST + 1, 31}, {33, unix.MCAST_JOIN_GROUP - 1}, {unix.MCAST_MSFILTER + 1, 127}}
	ipv6Ignored = []span{{unix.IPV6_ADD_MEMBERSHIP, unix.IPV6_DROP_MEMBERSHIP}, {unix.IPV6_RECVERR, unix.IPV6_RECVERR}, {unix.IPV6_JOIN_ANYCAST, unix.IPV6_LEAVE_ANYCAST}, {unix.MCAST_JOIN_GROUP, unix.MCAST_MSFILTER}}
	// 14, 32 and 38 to 41 are keys of TCP_MD5SIG and TCP_AO, for routers, which
	// no cgroup counts. 31 is TCP_ULP, another protocol's code on a connection.
	tcpOptions     = []span{{0, 13}, {15, 30}, {33, 37}, {42, 63}}
	netlinkOptions = []span{{1, 5}, {10, 12}} // groups, and the content of answers; not 8, NETLINK_LISTEN_ALL_NSID, nor the rings of packets
	// 100 is UDP_ENCAP, for tunnels.
	udpOptions = []span{{1, 1}, {101, 104}} // UDP_CORK, UDP_NO_CHECK6_TX … UDP_GRO
)

// The operations of prctl(2) that are allowed. 22 is PR_SET_SECCOMP, and 62
// PR_SCHED_CORE, which leaves the other thread of a processor's core idle.
var (
	prctlOptions = []span{{0, 21}, {23, 61}, {63, 127}}
	prctlNamed   = []uint64{unix.PR_SET_PTRACER, unix.PR_SET_VMA, prGetAuxv}
)

// prGetAuxv is PR_GET_AUXV of linux/prctl.h.
const prGetAuxv = 0x41555856

// cloneNamespaceFlags are the flags of clone(2) that make a namespace.
const cloneNamespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// fileCommands are the commands of fcntl(2) that are allowed: all except
// F_OFD_GETLK, F_OFD_SETLK and F_OFD_SETLKW (36 to 38), because nothing tells
// the owner of such locks (filelocks.go), and except F_SETLEASE, which is for
// file servers, because no cgroup counts leases.
var (
	fileCommands    = []span{{0, 35}, {39, 63}, {unix.F_GETLEASE, unix.F_SETLEASE + 127}}
	refusedCommands = []span{{unix.F_OFD_GETLK, unix.F_OFD_SETLKW}, {unix.F_SETLEASE, unix.F_SETLEASE}}
)

// shmHugetlb is SHM_HUGETLB of linux/shm.h.
const shmHugetlb = 0o4000

// seccompProfile returns the moby profile for a process without capabilities,
// without the calls that refusedSyscalls and argumentRules refuse, and only for
// the native architecture. Calls that it doesn't allow fail with EPERM.
//
// Arguments are compared as 64 bits, but the kernel uses only 32 of them for an
// int. So each rule lists the values that are allowed: a rule with a refused
// value would let it pass if a higher bit is set.
func seccompProfile(capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}},
		Linux:   &specs.Linux{},
	})
	if err != nil {
		return nil, err
	}
	// GetDefaultProfile lists the native architecture first, and then those that
	// the processor can also run, which would be a second way in.
	if len(p.Architectures) > 1 {
		p.Architectures = p.Architectures[:1]
	}
	own := argumentRules(slices.Contains(capabilities, "CAP_NET_RAW"))
	taken := map[string]bool{"socketcall": true} // its arguments are behind a pointer
	for _, r := range refusedSyscalls {
		for _, name := range r.names {
			taken[name] = true
		}
		if r.errno != unix.EPERM { // EPERM is the profile's default
			own = append(own, fail(r.errno, r.names...))
		}
	}
	for _, r := range own {
		for _, name := range r.Names {
			taken[name] = true
		}
	}
	var kept []specs.LinuxSyscall
	for _, rule := range p.Syscalls {
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool { return taken[name] })
		if len(rule.Names) > 0 {
			kept = append(kept, rule)
		}
	}
	p.Syscalls = append(kept, own...)
	return p, nil
}

// argumentRules returns the rules of system calls whose arguments decide. raw
// says that the tool has CAP_NET_RAW.
func argumentRules(raw bool) []specs.LinuxSyscall {
	rules := slices.Concat(socketRules(raw), optionRules(), readOptionRules(), prctlRules(), ioctlRules(), adviceRules(), lockRules())
	return append(rules,
		// Only threads may share descriptors. Locks of files are counted by
		// process, and otherwise they would outlive the process that made them.
		allow("clone", masked(0, cloneNamespaceFlags|unix.CLONE_FILES, 0)),
		allow("clone", masked(0, cloneNamespaceFlags|unix.CLONE_FILES|unix.CLONE_THREAD, unix.CLONE_FILES|unix.CLONE_THREAD)),
		// Programs fall back to clone, whose flags a filter can see.
		fail(unix.ENOSYS, "clone3"),
		// Allow FIFOs, for mkfifo(1), but no devices.
		allow("mknod", masked(1, unix.S_IFMT, unix.S_IFIFO)),
		allow("mknodat", masked(2, unix.S_IFMT, unix.S_IFIFO)),
		// Huge pages come from a pool of the host, and no memory limit counts them.
		allow("mmap", masked(3, unix.MAP_HUGETLB, 0)),
		allow("memfd_create", masked(1, unix.MFD_HUGETLB, 0)),
		allow("shmget", masked(2, shmHugetlb, 0)),
		// Dropping a file's pages would take them from all runs of the image, and
		// reveal who reads them again. The call is only a hint, so ignore it.
		allow("fadvise64", masked(3, ^uint64(3), 0)),
		failWhen(success, "fadvise64", exactly(3, unix.FADV_DONTNEED)),
		allow("fadvise64", exactly(3, unix.FADV_NOREUSE)),
		// The tool's own filters count towards bpf_jit_limit too.
		allow("seccomp", exactly(0, unix.SECCOMP_SET_MODE_STRICT)),
		allow("seccomp", exactly(0, unix.SECCOMP_GET_ACTION_AVAIL)),
		failWhen(unix.EINVAL, "seccomp", exactly(0, unix.SECCOMP_SET_MODE_FILTER)),
		failWhen(unix.EINVAL, "seccomp", exactly(0, unix.SECCOMP_GET_NOTIF_SIZES)),
	)
}

// socketRules returns rules that allow the families, types and protocols that
// the userspace network and local programs need. The kernel would look for a
// module for any other; it fails as on a kernel without the module. A tool with
// CAP_NET_RAW chooses the protocols of its packets. With NETLINK_ROUTE a program
// lists the interfaces and routes of the sandbox; to change them it would need a
// capability (rtnetlink(7)).
func socketRules(raw bool) []specs.LinuxSyscall {
	rules := []specs.LinuxSyscall{
		allow("socket", exactly(0, unix.AF_UNIX)),
		allow("socketpair", exactly(0, unix.AF_UNIX)),
	}
	for _, b := range blocks(0, complement([]span{{unix.AF_UNIX, unix.AF_INET}, {unix.AF_INET6, unix.AF_INET6}, {unix.AF_NETLINK, unix.AF_NETLINK}}, mostFamilies)) {
		rules = append(rules, failWhen(unix.EAFNOSUPPORT, "socket", b))
	}
	for _, b := range blocks(2, complement([]span{{unix.NETLINK_ROUTE, unix.NETLINK_ROUTE}}, mostFamilies)) {
		// libaudit, which useradd uses, continues if the kernel doesn't have the family.
		rules = append(rules, failWhen(unix.EAFNOSUPPORT, "socket", exactly(0, unix.AF_NETLINK), b))
	}
	for _, kind := range []uint64{unix.SOCK_RAW, unix.SOCK_DGRAM} {
		rules = append(rules, allow("socket", exactly(0, unix.AF_NETLINK), masked(1, socketTypes, kind), exactly(2, unix.NETLINK_ROUTE)))
	}
	for family, ping := range map[uint64]uint64{unix.AF_INET: unix.IPPROTO_ICMP, unix.AF_INET6: unix.IPPROTO_ICMPV6} {
		for kind, protocols := range map[uint64][]uint64{
			unix.SOCK_STREAM: {unix.IPPROTO_IP, unix.IPPROTO_TCP},
			unix.SOCK_DGRAM:  {unix.IPPROTO_IP, unix.IPPROTO_UDP, ping},
		} {
			for _, protocol := range protocols {
				rules = append(rules, allow("socket", exactly(0, family), masked(1, socketTypes, kind), exactly(2, protocol)))
			}
		}
		if raw {
			rules = append(rules, allow("socket", exactly(0, family), masked(1, socketTypes, unix.SOCK_RAW)))
		}
	}
	return rules
}

// socketTypes masks the flags out of socket(2)'s argument with the type.
const socketTypes = ^uint64(unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)

// mostFamilies is larger than the numbers of address families, and of netlink's families. A call with a larger number fails
// with EPERM.
const mostFamilies = 63

// optionRules returns the rules of setsockopt(2).
func optionRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, o := range []struct {
		level   uint64
		spans   []span
		ignored []span // the call does nothing and succeeds
	}{
		{unix.SOL_SOCKET, socketOptions, []span{{unix.SO_RCVBUF, unix.SO_RCVBUF}}},
		{unix.SOL_IP, ipOptions, ipIgnored},
		{unix.SOL_IPV6, ipv6Options, ipv6Ignored},
		{unix.SOL_TCP, tcpOptions, nil},
		{unix.SOL_UDP, udpOptions, nil},
		{unix.SOL_NETLINK, netlinkOptions, nil},
	} {
		for _, b := range blocks(2, o.spans) {
			rules = append(rules, allow("setsockopt", exactly(1, o.level), b))
		}
		for _, b := range blocks(2, o.ignored) {
			rules = append(rules, failWhen(success, "setsockopt", exactly(1, o.level), b))
		}
	}
	return rules
}

// zerocopyReceive is TCP_ZEROCOPY_RECEIVE, which maps pages of a queue into the
// tool's memory. No cgroup counts them there.
const zerocopyReceive = 35

// mostLevel is larger than the numbers of the levels of socket options.
const mostLevel = 511

// readOptionRules returns the rules of getsockopt(2).
func readOptionRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, b := range blocks(1, complement([]span{{unix.SOL_TCP, unix.SOL_TCP}}, mostLevel)) {
		rules = append(rules, allow("getsockopt", b))
	}
	for _, b := range blocks(2, complement([]span{{zerocopyReceive, zerocopyReceive}}, 127)) {
		rules = append(rules, allow("getsockopt", exactly(1, unix.SOL_TCP), b))
	}
	return append(rules, failWhen(unix.EINVAL, "getsockopt", exactly(1, unix.SOL_TCP), exactly(2, zerocopyReceive)))
}

func prctlRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, b := range blocks(0, prctlOptions) {
		rules = append(rules, allow("prctl", b))
	}
	for _, option := range prctlNamed {
		rules = append(rules, allow("prctl", exactly(0, option)))
	}
	for _, option := range []uint64{unix.PR_SET_SECCOMP, unix.PR_SCHED_CORE} {
		rules = append(rules, failWhen(unix.EINVAL, "prctl", exactly(0, option)))
	}
	return rules
}

// refusedRequests are requests of ioctl(2), by requestBits, for which the kernel
// looks for a module, even for unprivileged users: TIOCSETD for a line
// discipline, SIOCGIFBR and SIOCSIFBR for bridges, and from SIOCADDDLCI on those
// of frame relay, VLANs, bonds, bridges and single drivers.
var refusedRequests = []span{{unix.TIOCSETD, unix.TIOCSETD}, {unix.SIOCGIFBR, unix.SIOCSIFBR}, {unix.SIOCADDDLCI, 0x89ff}}

// requestBits are the bits of a request that identify it: its type and number.
const requestBits = 0xffff

func ioctlRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, b := range blocks(1, complement(refusedRequests, requestBits)) {
		b.Value &= requestBits
		rules = append(rules, allow("ioctl", b))
	}
	for _, b := range blocks(1, refusedRequests) {
		b.Value &= requestBits
		rules = append(rules, failWhen(unix.EINVAL, "ioctl", b))
	}
	return rules
}

// lockRules returns the rules of fcntl(2).
func lockRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, b := range blocks(1, fileCommands) {
		rules = append(rules, allow("fcntl", b))
	}
	for _, b := range blocks(1, refusedCommands) {
		rules = append(rules, failWhen(unix.EINVAL, "fcntl", b))
	}
	return rules
}

// complement returns the numbers from 0 to most that are in none of the spans,
// which must be sorted.
func complement(spans []span, most uint64) []span {
	var out []span
	next := uint64(0)
	for _, s := range spans {
		if s.first > next {
			out = append(out, span{next, s.first - 1})
		}
		next = s.last + 1
	}
	if next <= most {
		out = append(out, span{next, most})
	}
	return out
}

// adviceRules returns the rules of madvise(2). They allow everything except
// MADV_MERGEABLE, with which a tool could learn of equal pages of others, and
// MADV_COLD and MADV_PAGEOUT, which would take a shared layer's pages from all
// runs of the image. 102 and 103 are MADV_GUARD_INSTALL and MADV_GUARD_REMOVE.
func adviceRules() []specs.LinuxSyscall {
	refused := []span{{unix.MADV_MERGEABLE, unix.MADV_MERGEABLE}, {unix.MADV_COLD, unix.MADV_PAGEOUT}}
	var rules []specs.LinuxSyscall
	for _, b := range blocks(2, refused) {
		rules = append(rules, failWhen(unix.EINVAL, "madvise", b))
	}
	for _, b := range blocks(2, append(complement(refused, 31), span{102, 103})) {
		rules = append(rules, allow("madvise", b))
	}
	return rules
}

// blocks returns comparisons of an argument of which exactly one is true for each
// number in the spans, and none for any other number. Each is for a block whose
// size is a power of two.
func blocks(index uint, spans []span) []specs.LinuxSeccompArg {
	var out []specs.LinuxSeccompArg
	for _, s := range spans {
		for n := s.first; ; n++ {
			// Find the largest block that begins with n and doesn't pass the last number.
			end := n | (1<<bits.TrailingZeros64(n) - 1)
			for end > s.last {
				end = n | (end-n)>>1
			}
			out = append(out, masked(index, ^(end-n), n))
			if n = end; n == s.last {
				break
			}
		}
	}
	return out
}

func allow(name string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow, Args: args}
}

func fail(errno unix.Errno, names ...string) specs.LinuxSyscall {
	ret := uint(errno)
	return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, ErrnoRet: &ret}
}

func failWhen(errno unix.Errno, name string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	rule := fail(errno, name)
	rule.Args = args
	return rule
}

func exactly(index uint, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
}

// masked returns a comparison that is true if the bits of mask equal value.
func masked(index uint, mask, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
}
