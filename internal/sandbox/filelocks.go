package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// A lock of a part of a file (fcntl_locking(2)) takes 200 bytes or so of the
// kernel's memory, which no cgroup counts and no limit bounds: a file may have
// any number of them. So they are counted, by the processes that have them.
// Those of open file descriptions, which name no process, and descriptors that
// are shared between processes are refused (seccomp.go). A lock of a whole file
// (flock(2)) is one for each open file, which is counted itself; the lock is not.
type lockCounter struct {
	file  string // /proc/locks, except in tests
	procs func() ([]byte, error)
	next  time.Time
}

// mostPause is between two looks at the most, whatever a look takes: the kernel
// gives a list of many locks slowly.
const mostPause = time.Second

// tooMany says whether the run has more than engine.MaxLocks.
func (c *lockCounter) tooMany() (bool, error) {
	begin := time.Now()
	if begin.Before(c.next) {
		return false, nil
	}
	defer func() { c.next = time.Now().Add(min(10*time.Since(begin), mostPause)) }()
	procs, err := c.procs()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // the sandbox is gone
	}
	if err != nil {
		return false, fmt.Errorf("count the locks of files: %w", err)
	}
	own := map[string]bool{}
	for pid := range bytes.FieldsSeq(procs) {
		own[string(pid)] = true
	}
	file, err := os.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a kernel without CONFIG_FILE_LOCKING
	}
	if err != nil {
		return false, fmt.Errorf("count the locks of files: %w", err)
	}
	defer file.Close()
	locks := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() && locks <= engine.MaxLocks {
		if own[string(lockOwner(lines.Bytes()))] {
			locks++
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("count the locks of files: %w", err)
	}
	return locks > engine.MaxLocks, nil
}

// lockOwner is the process that a line of proc_locks(5) names, if the lock is of
// a part of a file: "1: POSIX  ADVISORY  WRITE 123 fd:00:2531452 0 EOF", with
// "->" before POSIX where it waits.
func lockOwner(line []byte) []byte {
	fields := bytes.Fields(line)
	if len(fields) > 2 && string(fields[1]) == "->" {
		fields = fields[1:]
	}
	if len(fields) < 5 || string(fields[1]) != "POSIX" {
		return nil
	}
	return fields[4]
}
