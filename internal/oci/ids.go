//go:build linux

package oci

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// The host ids of runs: ranges of 65,536 ids from 1,073,741,824 on. They are far
// above those that useradd and /etc/subuid give out, so that no id of a sandbox is
// a user of the host.
const (
	firstRunID   = 1 << 30
	idsPerRun    = 1 << 16
	idRangeCount = 1 << 14 // up to 2^31-1, the largest id that every program supports
)

// idLease is a range of host ids that one run has to itself. It is a lock on one
// byte of a file, held by the open file description (fcntl(2), F_OFD_SETLK). The
// shim inherits it with the descriptor. It ends with the last of the two
// processes, however they end, and leaves nothing to remove.
type idLease struct {
	file   *os.File
	first  int
	count  int
	shared bool // rootless: the user's only range, which all its runs share
}

// leaseIDs takes a free range. There is one file for the whole host, not one for
// each MAYFLY_HOME, because the ids belong to the host.
func (e *Engine) leaseIDs() (*idLease, error) {
	f, err := os.OpenFile(filepath.Join(e.dir, "ids"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lease host ids for the run: %w", err)
	}
	if r := e.rootless; r != nil {
		return &idLease{file: f, first: 1, count: min(r.IDCount, idsPerRun), shared: true}, nil
	}
	start := rand.IntN(idRangeCount)
	for i := range idRangeCount {
		slot := (start + i) % idRangeCount
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(slot), Len: 1}
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err == nil {
			return &idLease{file: f, first: firstRunID + slot*idsPerRun, count: idsPerRun}, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			f.Close()
			return nil, fmt.Errorf("lease host ids for the run: %w", err)
		}
	}
	f.Close()
	return nil, &engine.Unsupported{
		Feature: "separate id range for each run",
		Why:     fmt.Sprintf("all %d ranges are in use", idRangeCount),
		Remedy:  "wait for other runs to end",
	}
}

func (l *idLease) release() error { return l.file.Close() }
