//go:build unix

package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// withoutCores keeps the memory of this process and of its children, the supervisors of sandboxes among them, out of core dumps: it has
// values of secrets. A limit of one byte, unlike zero, also keeps core_pattern from piping the memory to a program of the host (core(5)).
func withoutCores() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1})
	if errors.Is(err, unix.EPERM) {
		return nil // the limit is zero already, or that of the service's unit, which filters the call
	}
	if err != nil {
		return fmt.Errorf("keep secrets out of core dumps: setrlimit: %w; allow the call where this program is started, for example in the seccomp profile of its container", err)
	}
	return nil
}
