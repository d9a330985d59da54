package sandbox

import (
	"math/bits"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The decisions of this file are listed, with their reasons, in
// docs/KERNEL-SURFACE.md, and a test compares that list with what a sandbox
// finds (TestI24).

// refusedSyscalls are taken out of the moby profile: each has been a way out of
// a container, a look into other processes, or a way to hold or queue something
// in the kernel that no limit of the run counts. No operations tool needs one.
// The errno is what programs take for a kernel without it, and fall back.
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
		"memfd_secret",           // takes pages out of the host's direct map
		"modify_ldt",             // has had holes; only DOS and Windows emulators use it
		"cachestat",              // tells which parts of shared layers others have read
		"statmount", "listmount", // tell more of mounts than mountinfo does
		// The bytes of POSIX queues are counted for the user that made the
		// sandbox, root's for all runs together (RLIMIT_MSGQUEUE, getrlimit(2)).
		"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
	}},
	// An access control list is up to 64 KiB of kernel memory for each inode
	// that no cgroup counts (acl(5)).
	{unix.EOPNOTSUPP, []string{"setxattr", "lsetxattr", "fsetxattr", "setxattrat"}},
	// A byte of a socket that is moved into a pipe keeps its block of 32 KiB,
	// which counts for nobody once the rest is read. As where the kinds of files
	// can't be spliced: programs copy instead.
	{unix.EINVAL, []string{"splice", "sendfile"}},
	// They would write out what the whole host has yet to write, and wait for
	// it. All that a tool can write to is memory.
	{success, []string{"sync", "syncfs"}},
}

// success is the errno of a call that does nothing and succeeds.
const success = unix.Errno(0)

// span is the numbers from first to last.
type span struct{ first, last uint64 }

// Options of SOL_SOCKET that are refused, and why:
//
//	 8          SO_RCVBUF: does nothing and succeeds, as for a host whose net.core.rmem_max is its default.
//	            Queues of errors, of connections not yet accepted, and of ping sockets are in no cgroup.
//	18          SO_RCVLOWAT: enlarges the same queues.
//	26 50 51 52 SO_ATTACH_FILTER, SO_ATTACH_BPF, and the same for groups of sockets: compiled filters fill
//	            net.core.bpf_jit_limit, which is the host's, and their release has locked kernels up.
//	37 65       SO_TIMESTAMPING, and 60 and 61, SO_ZEROCOPY and SO_TXTIME: send what was sent back into a queue of errors.
//	73          SO_RESERVE_MEM: reserves memory of the host's net.ipv4.tcp_mem and udp_mem without holding data.
//	78 and more those of devices' memory, and what isn't invented yet.
var (
	socketOptions = []span{{0, 7}, {9, 17}, {19, 25}, {27, 36}, {38, 49}, {53, 59}, {62, 64}, {66, 72}, {74, 77}}
	// A resolver has to be able to ask for errors (IP_RECVERR); asking does nothing.
	// So has one of multicast, which leads nowhere here, to be able to join a group
	// (35 to 48; 20, 21, 27, 28 and 42 to 48 of IPv6): memberships are in no cgroup, and their
	// end searches a list under a lock of the whole host's network.
	ipOptions = []span{{0, unix.IP_RECVERR - 1}, {unix.IP_RECVERR + 1, unix.IP_ADD_MEMBERSHIP - 1}, {unix.MCAST_MSFILTER + 1, 63}}
	ipIgnored = []span{{unix.IP_RECVERR, unix.IP_RECVERR}, {unix.IP_ADD_MEMBERSHIP, unix.MCAST_MSFILTER}}
	// 32 is IPV6_FLOWLABEL_MGR: there are 4,096 labels for the whole host.
	ipv6Options = []span{{0, unix.IPV6_ADD_MEMBERSHIP - 1}, {unix.IPV6_DROP_MEMBERSHIP + 1, unix.IPV6_RECVERR - 1}, {unix.IPV6_RECVERR + 1, unix.IPV6_JOIN_ANYCAST - 1}, {unix.IPV6_LEAVE_ANYCAST + 1, 31}, {33, unix.MCAST_JOIN_GROUP - 1}, {unix.MCAST_MSFILTER + 1, 127}}
	ipv6Ignored = []span{{unix.IPV6_ADD_MEMBERSHIP, unix.IPV6_DROP_MEMBERSHIP}, {unix.IPV6_RECVERR, unix.IPV6_RECVERR}, {unix.IPV6_JOIN_ANYCAST, unix.IPV6_LEAVE_ANYCAST}, {unix.MCAST_JOIN_GROUP, unix.MCAST_MSFILTER}}
	// 14, 32 and 38 to 41 are keys of TCP_MD5SIG and TCP_AO, for routers, in no
	// cgroup; 31 is TCP_ULP, another protocol's code on a connection.
	tcpOptions     = []span{{0, 13}, {15, 30}, {33, 37}, {42, 63}}
	netlinkOptions = []span{{1, 5}, {10, 12}} // groups, and what answers have in them; 8, NETLINK_LISTEN_ALL_NSID, and the rings of packets aren't
	// 100 is UDP_ENCAP, for tunnels.
	udpOptions = []span{{1, 1}, {101, 104}} // UDP_CORK, UDP_NO_CHECK6_TX … UDP_GRO
)

// Operations of prctl(2) are refused except for these. 22 is PR_SET_SECCOMP, and
// 62 PR_SCHED_CORE, which idles the other thread of a processor's core.
var (
	prctlOptions = []span{{0, 21}, {23, 61}, {63, 127}}
	prctlNamed   = []uint64{unix.PR_SET_PTRACER, unix.PR_SET_VMA, prGetAuxv}
)

// prGetAuxv is PR_GET_AUXV of linux/prctl.h.
const prGetAuxv = 0x41555856

// cloneNamespaceFlags are the bits of clone(2) that make a namespace.
const cloneNamespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// fileCommands are those of fcntl(2), except F_OFD_GETLK, F_OFD_SETLK and
// F_OFD_SETLKW, 36 to 38: nobody could say whose such locks are (filelocks.go);
// and except F_SETLEASE, for file servers, whose leases are in no cgroup.
var (
	fileCommands    = []span{{0, 35}, {39, 63}, {unix.F_GETLEASE, unix.F_SETLEASE + 127}}
	refusedCommands = []span{{unix.F_OFD_GETLK, unix.F_OFD_SETLKW}, {unix.F_SETLEASE, unix.F_SETLEASE}}
)

// shmHugetlb is SHM_HUGETLB of linux/shm.h.
const shmHugetlb = 0o4000

// seccompProfile is the moby profile for a process without capabilities, less
// what refusedSyscalls and argumentRules take away, for the native architecture
// only. What it doesn't allow fails with EPERM.
//
// Arguments are compared as 64 bits, of which the kernel takes 32 for an int:
// so each rule names what is allowed. One that names what isn't would let it
// pass with a bit set beyond.
func seccompProfile(capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}},
		Linux:   &specs.Linux{},
	})
	if err != nil {
		return nil, err
	}
	// GetDefaultProfile names the native architecture first and then those
	// that the processor can also run, which would be a second way in.
	if len(p.Architectures) > 1 {
		p.Architectures = p.Architectures[:1]
	}
	own := argumentRules(slices.Contains(capabilities, "CAP_NET_RAW"))
	taken := map[string]bool{"socketcall": true} // its arguments are behind a pointer
	for _, r := range refusedSyscalls {
		for _, name := range r.names {
			taken[name] = true
		}
		if r.errno != unix.EPERM { // that is the profile's own
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

// argumentRules are those of system calls whose arguments decide.
func argumentRules(raw bool) []specs.LinuxSyscall {
	rules := slices.Concat(socketRules(raw), optionRules(), readOptionRules(), prctlRules(), ioctlRules(), adviceRules(), lockRules())
	return append(rules,
		// Only threads may share their descriptors: the locks of files, which
		// are counted by process, would outlive the process that made them.
		allow("clone", masked(0, cloneNamespaceFlags|unix.CLONE_FILES, 0)),
		allow("clone", masked(0, cloneNamespaceFlags|unix.CLONE_FILES|unix.CLONE_THREAD, unix.CLONE_FILES|unix.CLONE_THREAD)),
		// So that programs fall back to clone, whose flags can be seen.
		fail(unix.ENOSYS, "clone3"),
		// FIFOs, for mkfifo(1), and no devices.
		allow("mknod", masked(1, unix.S_IFMT, unix.S_IFIFO)),
		allow("mknodat", masked(2, unix.S_IFMT, unix.S_IFIFO)),
		// Huge pages come from a pool of the host's, in no memory limit.
		allow("mmap", masked(3, unix.MAP_HUGETLB, 0)),
		allow("memfd_create", masked(1, unix.MFD_HUGETLB, 0)),
		allow("shmget", masked(2, shmHugetlb, 0)),
		// Dropping a file's pages would take them from all runs of the image, and
		// tell who reads them again. A hint may be left unheard.
		allow("fadvise64", masked(3, ^uint64(3), 0)),
		failWhen(success, "fadvise64", exactly(3, unix.FADV_DONTNEED)),
		allow("fadvise64", exactly(3, unix.FADV_NOREUSE)),
		// Filters of the tool's own are in bpf_jit_limit, too.
		allow("seccomp", exactly(0, unix.SECCOMP_SET_MODE_STRICT)),
		allow("seccomp", exactly(0, unix.SECCOMP_GET_ACTION_AVAIL)),
		failWhen(unix.EINVAL, "seccomp", exactly(0, unix.SECCOMP_SET_MODE_FILTER)),
		failWhen(unix.EINVAL, "seccomp", exactly(0, unix.SECCOMP_GET_NOTIF_SIZES)),
	)
}

// socketRules allow the families, types and protocols that the userspace
// network and local programs need. Any other would have the kernel look for its
// module, and is as on a kernel without it. A tool with CAP_NET_RAW chooses the
// protocols of its packets. By NETLINK_ROUTE a program lists the interfaces and
// routes of the sandbox; changing any takes a capability (rtnetlink(7)).
func socketRules(raw bool) []specs.LinuxSyscall {
	rules := []specs.LinuxSyscall{
		allow("socket", exactly(0, unix.AF_UNIX)),
		allow("socketpair", exactly(0, unix.AF_UNIX)),
	}
	for _, b := range blocks(0, complement([]span{{unix.AF_UNIX, unix.AF_INET}, {unix.AF_INET6, unix.AF_INET6}, {unix.AF_NETLINK, unix.AF_NETLINK}}, mostFamilies)) {
		rules = append(rules, failWhen(unix.EAFNOSUPPORT, "socket", b))
	}
	for _, b := range blocks(2, complement([]span{{unix.NETLINK_ROUTE, unix.NETLINK_ROUTE}}, mostFamilies)) {
		rules = append(rules, failWhen(unix.EAFNOSUPPORT, "socket", exactly(0, unix.AF_NETLINK), b)) // libaudit, which useradd uses, goes on when the kernel doesn't have the family
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

// socketTypes are the bits of a socket's type, which has flags beside it (socket(2)).
const socketTypes = ^uint64(unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)

// mostFamilies is beyond the numbers of address families, and of netlink's; above it a call gets EPERM.
const mostFamilies = 63

// optionRules are those of setsockopt(2).
func optionRules() []specs.LinuxSyscall {
	var rules []specs.LinuxSyscall
	for _, o := range []struct {
		level   uint64
		spans   []span
		ignored []span // do nothing and succeed
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
// tool's memory: there they count for nobody.
const zerocopyReceive = 35

// mostLevel is beyond the levels of socket options.
const mostLevel = 511

// readOptionRules are those of getsockopt(2).
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

// refusedRequests are requests of ioctl(2), by requestBits, that have the kernel
// look for a module, whoever asks: TIOCSETD for a line discipline, SIOCGIFBR and
// SIOCSIFBR for bridges, and from SIOCADDDLCI on those of frame relay, VLANs,
// bonds, bridges and of single drivers.
var refusedRequests = []span{{unix.TIOCSETD, unix.TIOCSETD}, {unix.SIOCGIFBR, unix.SIOCSIFBR}, {unix.SIOCADDDLCI, 0x89ff}}

// requestBits are those of a request that say what it is: its type and number.
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

// lockRules are those of fcntl(2).
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

// complement are the numbers up to most that are in none of the spans, which are
// in order.
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

// adviceRules are those of madvise(2): all except MADV_MERGEABLE, by which a
// tool would learn of equal pages of others, and MADV_COLD and MADV_PAGEOUT,
// which would take a shared layer's pages from all runs of the image. 102 and 103
// are MADV_GUARD_INSTALL and MADV_GUARD_REMOVE.
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

// blocks are comparisons of an argument that hold for the numbers of the spans
// and for no other: each for a block of a power of two.
func blocks(index uint, spans []span) []specs.LinuxSeccompArg {
	var out []specs.LinuxSeccompArg
	for _, s := range spans {
		for n := s.first; ; n++ {
			// The largest block that begins with n and doesn't pass the last.
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

// masked holds when the bits of mask are those of value.
func masked(index uint, mask, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
}
