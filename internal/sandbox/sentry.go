package sandbox

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// keptUnderGVisor are calls whose rules apply under gVisor although they have an errno other than EPERM: options of sockets,
// which reach the host's kernel because the sandbox uses the sockets of its network namespace (runtimes), and the tool's own
// filters.
var keptUnderGVisor = []string{"setsockopt", "getsockopt", "seccomp", "prctl"}

// sentryProfile returns the profile for gVisor, without the rules whose errno isn't EPERM. These rules keep a program from
// something in the host's kernel and let it continue, as on a kernel without the call. But runsc fails every refused call with
// EPERM, and with EPERM programs don't continue: glibc has no threads if clone3 fails so. The rules aren't needed either. The
// sentry, gVisor's own kernel, serves the tool's calls, and it lacks these calls too or handles them in its own memory.
func sentryProfile(capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := seccompProfile(capabilities)
	if err != nil {
		return nil, err
	}
	for i, rule := range p.Syscalls {
		if rule.ErrnoRet != nil && *rule.ErrnoRet != uint(unix.EPERM) && !slices.Contains(keptUnderGVisor, rule.Names[0]) && !isNetlink(rule) {
			p.Syscalls[i] = specs.LinuxSyscall{Names: rule.Names, Action: specs.ActAllow, Args: rule.Args}
		}
	}
	// runsc can't let a call succeed and do nothing, and glibc resolves no names without this option. So it is allowed, and
	// queues of errors hold up to net.core.rmem_default.
	p.Syscalls = append([]specs.LinuxSyscall{
		allow("setsockopt", exactly(1, unix.SOL_IP), exactly(2, unix.IP_RECVERR)),
		allow("setsockopt", exactly(1, unix.SOL_IPV6), exactly(2, unix.IPV6_RECVERR)),
	}, p.Syscalls...)
	return p, nil
}

// isNetlink reports whether a rule is about netlink sockets. The sentry supports a family that the profile refuses (uevents).
func isNetlink(rule specs.LinuxSyscall) bool {
	return rule.Names[0] == "socket" && rule.Args[0] == exactly(0, unix.AF_NETLINK)
}
