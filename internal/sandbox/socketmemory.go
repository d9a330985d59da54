package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// What sockets hold of the kernel's memory is bounded in four places: by the
// memory cgroup, for what waits in the queues of TCP and UDP; by the sysctls
// below, for what the kernel charges to no cgroup, since it comes to a socket
// that no process has accepted yet, or by another way than data; by the profile
// of system calls (socketOptions), which keeps these queues small; and by
// tooManySockets, since a connection that waits to be accepted has no descriptor
// and its other end needs none either, and a datagram that is being put together
// (MSG_MORE) counts for nobody.

// socketSysctls are set in each sandbox's network namespace. A kernel that
// doesn't have one of them, or not for each namespace, bounds less.
var socketSysctls = []struct{ name, value string }{
	// The least, the first and the largest size of a connection's buffers. The
	// kernel grows them while a program reads, and also for small segments
	// that come to a connection that nobody accepts. The other end is the shim
	// or the sandbox itself, next door: a larger window gains nothing.
	{"net/ipv4/tcp_rmem", "4096 16384 262144"},
	{"net/ipv4/tcp_wmem", "4096 16384 2097152"},
	// What a UDP socket gets even when its cgroup is full.
	{"net/ipv4/udp_rmem_min", "4096"},
	{"net/ipv4/udp_wmem_min", "4096"},
	// What a socket's options, and the messages beside its data, may take.
	{"net/core/optmem_max", "4096"},
	// Connections of a listener that wait to be accepted.
	{"net/core/somaxconn", "128"},
	// Ends of connections that wait for late packets; 256 bytes each.
	{"net/ipv4/tcp_max_tw_buckets", "4096"},
	// Time stamps don't bring the packet along (SCM_TIMESTAMPING can ask for one without the option).
	{"net/core/tstamp_allow_data", "0"},
	// The sandbox's kernel answers no echo request of the sandbox's own: its
	// answers would wait in a ping socket, which no cgroup counts.
	{"net/ipv4/icmp_echo_ignore_all", "1"},
	{"net/ipv6/icmp/echo_ignore_all", "1"},
}

// boundSockets sets socketSysctls in the calling thread's network namespace.
func boundSockets() error {
	for _, s := range socketSysctls {
		err := os.WriteFile(filepath.Join("/proc/sys", s.name), []byte(s.value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("bound the sandbox's sockets: %w", err)
		}
	}
	return nil
}

// socketShare is the part of a run's memory limit that its sockets may have on
// cgroup v1, beside it: v1 counts them by themselves. maxSocketBytes bounds it,
// since a byte in a queue may keep 32 KiB of the kernel's from being used again.
const (
	socketShare    = 4
	maxSocketBytes = 32 << 20
)

// limitSocketMemory has cgroup v1 count the buffers of sockets that are made
// from now on, of TCP and of UDP in spite of its name. On v2 they count for the
// memory limit as they are.
func limitSocketMemory(paths map[string]string, memory int64) error {
	dir, v1 := paths["memory"]
	if !v1 {
		return nil
	}
	limit := strconv.FormatInt(min(memory/socketShare, maxSocketBytes), 10)
	// mayfly has refused a host without it (oci/check.go).
	if err := cgroups.WriteFile(dir, wire.SocketLimitFile, limit); err != nil {
		return fmt.Errorf("limit the memory of sockets: %w", err)
	}
	return nil
}

// netlinkRoute is NETLINK_ROUTE in the second column of /proc/net/netlink.
const netlinkRoute = "0"

// tooManySockets says whether a network namespace has more sockets than its
// run's memory limit allows. files are sockstat and sockstat6 of a process in it
// (proc(5)), whose "inuse" is the namespace's own, and netlink, which has a line
// for each socket: its answers wait in no cgroup, 208 KiB of them.
func tooManySockets(files []string, memory int64) (bool, error) {
	var sockets int64
	for i, file := range files {
		data, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && i > 0:
			continue // a kernel without IPv6
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
			return false, nil // the process is gone, and the sandbox with it
		case err != nil:
			return false, fmt.Errorf("count the sandbox's sockets: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if filepath.Base(file) == "netlink" && len(fields) > 1 && fields[1] == netlinkRoute {
				sockets++
				continue
			}
			if len(fields) > 2 && fields[1] == "inuse" && strings.HasSuffix(fields[0], ":") && fields[0] != "FRAG:" && fields[0] != "FRAG6:" {
				n, err := strconv.ParseInt(fields[2], 10, 64)
				if err != nil {
					return false, fmt.Errorf("count the sandbox's sockets: %s: %w", file, err)
				}
				sockets += n
			}
		}
	}
	return sockets > max(memory/engine.SocketBytes, engine.MinSockets), nil
}
