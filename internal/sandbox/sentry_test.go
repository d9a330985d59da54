package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestSentryProfile: calls that are refused with an errno other than EPERM are left to gVisor's kernel, and the rest is the
// same as without gVisor.
func TestSentryProfile(t *testing.T) {
	everywhere, err1 := seccompProfile(nil)
	sentry, err2 := sentryProfile(nil)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	const allowed, refused = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO
	for _, test := range []struct {
		name       string
		args       [6]uint64
		everywhere uint32
		sentry     uint32
	}{
		{"clone3", [6]uint64{}, refused | uint32(unix.ENOSYS), allowed},
		{"splice", [6]uint64{}, refused | uint32(unix.EINVAL), allowed},
		{"sync", [6]uint64{}, refused, allowed},
		{"socket", [6]uint64{unix.AF_VSOCK}, refused | uint32(unix.EAFNOSUPPORT), allowed},
		{"socket", [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, refused | uint32(unix.EAFNOSUPPORT), refused | uint32(unix.EAFNOSUPPORT)},
		{"setsockopt", [6]uint64{3, unix.SOL_IP, unix.IP_RECVERR}, refused, allowed},
		{"setsockopt", [6]uint64{3, unix.SOL_IPV6, unix.IPV6_RECVERR}, refused, allowed},
		// The host's sockets, and the tool's filters.
		{"setsockopt", [6]uint64{3, unix.SOL_SOCKET, unix.SO_RCVBUF}, refused, refused},
		{"setsockopt", [6]uint64{3, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP}, refused, refused},
		{"getsockopt", [6]uint64{3, unix.SOL_TCP, zerocopyReceive}, refused | uint32(unix.EINVAL), refused | uint32(unix.EINVAL)},
		{"setsockopt", [6]uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, refused | uint32(unix.EPERM), refused | uint32(unix.EPERM)},
		{"seccomp", [6]uint64{unix.SECCOMP_SET_MODE_FILTER}, refused | uint32(unix.EINVAL), refused | uint32(unix.EINVAL)},
		{"prctl", [6]uint64{unix.PR_SET_SECCOMP}, refused | uint32(unix.EINVAL), refused | uint32(unix.EINVAL)},
		// Calls that are refused with EPERM, or allowed.
		{"ptrace", [6]uint64{}, refused | uint32(unix.EPERM), refused | uint32(unix.EPERM)},
		{"clone", [6]uint64{unix.CLONE_NEWUSER}, refused | uint32(unix.EPERM), refused | uint32(unix.EPERM)},
		{"read", [6]uint64{}, allowed, allowed},
	} {
		c := call{args: test.args}
		if a, b := c.decide(everywhere, test.name), c.decide(sentry, test.name); a != test.everywhere || b != test.sentry {
			t.Errorf("%s %v: got %#x, and %#x for gVisor, want %#x and %#x", test.name, test.args, a, b, test.everywhere, test.sentry)
		}
	}
}
