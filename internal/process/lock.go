//go:build linux

package process

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Locked returns the error for a file that other processes have locked with flock(2) for too long. The error names them.
func Locked(path string, since time.Time) error {
	return fmt.Errorf("%s has been locked for %s by %s; end that process, or continue it with kill -CONT", path, time.Since(since).Round(time.Second), cmp.Or(Describe(lockHolders(path)...), "another mayfly"))
}

// lockHolders returns the processes that hold a flock(2) lock on a file, from /proc/locks (proc_locks(5)).
func lockHolders(path string) []int {
	var st unix.Stat_t
	data, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Stat(path, &st) != nil {
		return nil // Locked then names nobody
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	var pids []int
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
