package sandbox

import (
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
// (flock(2)) or a lease is one for each open file, which is counted.
type lockCounter struct {
	file  string // /proc/locks, except in tests
	procs func() ([]byte, error)
	next  time.Time
}

// tooMany says whether the run has more than engine.MaxLocks. Where other
// processes of the host have many, it looks less often: a fiftieth of the time
// at the most goes into looking.
func (c *lockCounter) tooMany() (bool, error) {
	begin := time.Now()
	if begin.Before(c.next) {
		return false, nil
	}
	defer func() { c.next = time.Now().Add(50 * time.Since(begin)) }()
	data, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a kernel without CONFIG_FILE_LOCKING
	}
	if err != nil {
		return false, fmt.Errorf("count the locks of files: %w", err)
	}
	if bytes.Count(data, []byte{'\n'}) <= engine.MaxLocks {
		return false, nil
	}
	// proc_locks(5): "1: POSIX  ADVISORY  WRITE 123 fd:00:2531452 0 EOF", and with "->" before POSIX one that waits.
	byProcess := map[string]int{}
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) > 2 && string(fields[1]) == "->" {
			fields = fields[1:]
		}
		if len(fields) > 4 && string(fields[1]) == "POSIX" {
			byProcess[string(fields[4])]++
		}
	}
	procs, err := c.procs()
	if err != nil {
		return false, ignoreMissing(err) // the sandbox is gone
	}
	locks := 0
	for pid := range bytes.FieldsSeq(procs) {
		locks += byProcess[string(pid)]
	}
	return locks > engine.MaxLocks, nil
}
