//go:build linux

package testbed

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// SocketMemory is what the host's sockets of a protocol (TCP, UDP) hold, in bytes: the last number of its line, in pages,
// which is the whole host's in each network namespace.
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
