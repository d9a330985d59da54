//go:build linux

package testbed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SocketMemory returns the bytes that the host's sockets of a protocol (TCP, UDP) hold. The last number of the protocol's
// line in /proc/net/sockstat has them in pages; in each network namespace it is that of the whole host.
func SocketMemory(tb testing.TB, protocol string) int64 {
	tb.Helper()
	data, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, protocol+":")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		pages, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		return pages * int64(os.Getpagesize())
	}
	tb.Fatalf("no %s in %s", protocol, data)
	return 0
}

// Unified reports whether cgroups are v2, which counts sockets in the memory limit.
func Unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// SocketsOf returns the bytes that the sockets of a cgroup v2 hold (memory.stat), or 0 if the cgroup doesn't exist.
func SocketsOf(tb testing.TB, group string) int64 {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(group, "memory.stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return 0
	}
	if err != nil {
		tb.Error(err)
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "sock "); ok {
			bytes, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				tb.Error(err)
			}
			return bytes
		}
	}
	return 0
}
