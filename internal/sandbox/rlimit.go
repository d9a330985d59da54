package sandbox

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// libcontainer's process sets the tool's limits (getrlimit(2)) itself: every process may lower its own. libcontainer would let
// the parent set them. A parent with other ids needs CAP_SYS_RESOURCE for that, which root often lacks in a container or a
// hardened service. The limits are passed in argv[0], which libcontainer copies from this process.

// limitsPrefix is the beginning of an argv[0] that contains limits.
const limitsPrefix = "mayfly-init "

// passLimits makes libcontainer's later processes limit themselves (LimitSelf).
func passLimits(limits []specs.POSIXRlimit) {
	var b strings.Builder
	b.WriteString(limitsPrefix)
	for _, l := range limits {
		number := limitNumbers[l.Type]
		own := unix.Rlimit{Max: l.Hard}
		_ = unix.Getrlimit(number, &own) // a lower limit of the host applies
		fmt.Fprintf(&b, "%d:%d:%d ", number, min(l.Soft, own.Max), min(l.Hard, own.Max))
	}
	os.Args[0] = b.String()
}

// rlimitSigpending is RLIMIT_SIGPENDING of asm-generic/resource.h.
const rlimitSigpending = 11

var limitNumbers = map[string]int{
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE,
	"RLIMIT_SIGPENDING": rlimitSigpending, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
}

// LimitSelf sets the limits that passLimits passed to this process.
func LimitSelf() error {
	list, found := strings.CutPrefix(os.Args[0], limitsPrefix)
	if !found {
		return fmt.Errorf("no limits came to this process, only %q", os.Args[0])
	}
	for _, text := range strings.Fields(list) {
		var number int
		var limit unix.Rlimit
		if _, err := fmt.Sscanf(text, "%d:%d:%d", &number, &limit.Cur, &limit.Max); err != nil {
			return fmt.Errorf("read the limit %q: %w", text, err)
		}
		// The call also keeps the Go runtime from restoring the limit of open files at exec.
		if err := unix.Setrlimit(number, &limit); err != nil {
			return fmt.Errorf("set limit %d: %w", number, err)
		}
	}
	return nil
}
