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

// lockCounter counts a run's locks of parts of files (fcntl_locking(2)). Each
// takes about 200 bytes of the kernel's memory, which no cgroup counts, and a
// file may have any number of them. They are counted by the processes that own
// them. Locks of open file descriptions, which name no process, and descriptors
// that are shared between processes are refused (seccomp.go). Locks of whole
// files (flock(2)) need no limit: there is at most one for each open file, and
// open files are counted.
type lockCounter struct {
	file  string // /proc/locks, except in tests
	procs func() ([]byte, error)
	next  time.Time
}

// mostPause is the longest pause between two counts. A pause is ten times as
// long as the last count, because the kernel lists many locks slowly.
const mostPause = time.Second

// tooMany reports whether the run has more than engine.MaxLocks. It counts only
// if the pause since the last count has ended.
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

// lockOwner returns the id of the process in a line of proc_locks(5), or nil if
// the lock is not of a part of a file. Such a line is
// "1: POSIX  ADVISORY  WRITE 123 fd:00:2531452 0 EOF", with "->" before POSIX if
// the process waits for the lock.
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
