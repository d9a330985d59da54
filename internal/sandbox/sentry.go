package sandbox

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// keptUnderGVisor are calls whose rules stay for gVisor although they have an errno other than EPERM: options, which reach
// the host's kernel, since the sandbox has the sockets of its network namespace (runtimes), and the tool's own filters.
var keptUnderGVisor = []string{"setsockopt", "getsockopt", "seccomp", "prctl"}

// sentryProfile is the profile for gVisor. runsc fails what is refused with EPERM, whatever errno the profile has, and
// programs go on after that of a kernel without the call, and not after EPERM: glibc then has no threads (clone3). The
// sentry, gVisor's own kernel, serves the tool's calls. So a rule with an errno of its own, which keeps a program from
// something of the host's kernel and lets it go on, is left out: the sentry doesn't have the call either, or does it in its
// own memory.
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
	// It can't succeed and do nothing, and glibc looks up no name without. A queue of errors then holds up to
	// net.core.rmem_default.
	p.Syscalls = append([]specs.LinuxSyscall{
		allow("setsockopt", exactly(1, unix.SOL_IP), exactly(2, unix.IP_RECVERR)),
		allow("setsockopt", exactly(1, unix.SOL_IPV6), exactly(2, unix.IPV6_RECVERR)),
	}, p.Syscalls...)
	return p, nil
}

// isNetlink reports whether a rule is about sockets of netlink. The sentry has a family that the profile refuses (uevents).
func isNetlink(rule specs.LinuxSyscall) bool {
	return rule.Names[0] == "socket" && rule.Args[0] == exactly(0, unix.AF_NETLINK)
}
