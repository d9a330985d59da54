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

// Four mechanisms limit the kernel memory of sockets:
//   - the memory cgroup counts the queues of TCP and UDP;
//   - the sysctls below limit memory that no cgroup counts: data for a socket
//     that no process has accepted yet, and everything that isn't data;
//   - the profile of system calls (socketOptions) keeps these queues small;
//   - tooManySockets limits the number of sockets. A connection that waits to be
//     accepted has no descriptor, and its other end needs none either. No cgroup
//     counts a datagram that isn't complete (MSG_MORE).

// socketSysctls are set in each sandbox's network namespace. On a kernel without
// one of them, or without one per namespace, that limit is missing.
var socketSysctls = []struct{ name, value string }{
	// The smallest, initial and largest size of a connection's buffers in bytes.
	// The kernel grows them while a program reads, and also for small segments
	// that arrive at a connection that nobody accepts. The other end is the shim
	// or the sandbox itself, on the same machine, so a larger window gains
	// nothing.
	{"net/ipv4/tcp_rmem", "4096 16384 262144"},
	{"net/ipv4/tcp_wmem", "4096 16384 2097152"},
	// The bytes that a UDP socket gets even if its cgroup is full.
	{"net/ipv4/udp_rmem_min", "4096"},
	{"net/ipv4/udp_wmem_min", "4096"},
	// The limit of the bytes of a socket's options and control messages.
	{"net/core/optmem_max", "4096"},
	// The connections of a listener that wait to be accepted.
	{"net/core/somaxconn", "128"},
	// The ends of connections that wait for late packets (256 bytes each).
	{"net/ipv4/tcp_max_tw_buckets", "4096"},
	// Time stamps don't include the packet. SCM_TIMESTAMPING can ask for one without the socket option.
	{"net/core/tstamp_allow_data", "0"},
	// The kernel doesn't answer the sandbox's echo requests to its own addresses:
	// the answers would wait in a ping socket, which no cgroup counts.
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

// On cgroup v1, which counts sockets separately, a run's sockets may have
// 1/socketShare of its memory limit in addition to it, but at most
// maxSocketBytes: a byte in a queue may keep 32 KiB of kernel memory from being
// used again.
const (
	socketShare    = 4
	maxSocketBytes = 32 << 20
)

// limitSocketMemory makes cgroup v1 count and limit the buffers of sockets that
// are made from now on: of TCP and, in spite of the file's name, of UDP. On v2
// they count towards the memory limit without it.
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

// tooManySockets reports whether a network namespace has more sockets than its
// run's memory limit, in bytes, allows. files are files of a process in the
// namespace (proc(5)): sockstat and sockstat6, whose "inuse" counts only this
// namespace, and netlink, with a line for each netlink socket. No cgroup counts
// the answers that wait in a netlink socket, up to 208 KiB.
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
