package store

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// Logs has what becomes of the events of runs after they were reported. The methods may be called from several goroutines and
// servers, and each of their transactions is short.
//
//	Report             Compact               ClaimLog, KeepLog               DropLogs            DropRuns
//	──────▶ small chunks ──▶ larger ones ──────────────▶ in the archive ──────────▶ removed ──────────▶ (nothing)
//	             │    the run has ended    KeepSmallLogs
//	             └───────────────────────────────────────▶ for good here
type Logs interface {
	// Compact replaces chunks of a run by one with the same events. The error is ErrNotHeld if someone else has replaced some
	// of them meanwhile.
	Compact(ctx context.Context, id string, chunks int, with Chunk) error
	// KeepSmallLogs leaves the logs of runs that ended that long ago for good where they are, if they have at most so many bytes.
	// It returns of how many runs; if it is most, there may be more.
	KeepSmallLogs(ctx context.Context, after time.Duration, bytes int64, most int) (runs int, err error)
	// ClaimLog gives the caller the log of a run that ended that long ago, to move it to the archive: for the lease, nobody else
	// gets it. The id is empty if there is none. claim is a text that nobody else has.
	ClaimLog(ctx context.Context, claim string, after, lease time.Duration) (id string, err error)
	// KeepLog ends a claim: with replaces all chunks of the run, whose number is chunks. What is in the archive has an Object. The
	// error is ErrNotHeld if the claim isn't the caller's any longer, or the log isn't as it was read.
	KeepLog(ctx context.Context, id, claim string, chunks int, with []Chunk) error
	// LogObjects returns the objects in the archive of those runs that have one.
	LogObjects(ctx context.Context, ids []string) (map[string]string, error)
	// LogBytes returns how many bytes the logs in their final form take.
	LogBytes(ctx context.Context) (int64, error)
	// DropLogs removes logs of runs that have ended, the oldest first.
	DropLogs(ctx context.Context, d Drop) (Dropped, error)
	// DropRuns removes runs that have ended with all that belongs to them, the oldest first.
	DropRuns(ctx context.Context, d Drop) (Dropped, error)
	// References calls take with each text that may name contents: manifests of versions and drafts, requests and results of runs.
	References(ctx context.Context, take func(text []byte)) error
}

// Drop says what to remove.
type Drop struct {
	Ended time.Duration // only of runs that ended at least so long ago
	Free  int64         // only until so many bytes are free; 0 for all
	Most  int           // of how many runs at once
}

// Dropped is what was removed.
type Dropped struct {
	Runs    int
	Bytes   int64    // of logs in their final form
	Objects []string // that nothing refers to any longer; the caller deletes them
}

// DamagedError says that a part of a log isn't what was stored.
type DamagedError struct {
	Run         string
	First, Last int64  // the numbers of the events
	Where       string // the database, or an object of the archive
	Err         error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("events %d to %d of run %s are damaged in %s: %v", e.First, e.Last, e.Run, e.Where, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the checksum of a chunk of a run: CRC-32C of its place and its data, so that one of another place is wrong too.
func (c *Chunk) Sum(id string) int64 {
	place := crc32.Checksum([]byte(id+" "+strconv.FormatInt(c.First, 10)), castagnoli)
	return int64(crc32.Update(place, castagnoli, c.Data))
}

// Check fails with a DamagedError if the data isn't what was stored.
func (c *Chunk) Check(id string) error {
	if got := c.Sum(id); c.Checksum >= 0 && got != c.Checksum {
		where := "the database"
		if c.Object != "" {
			where = "the archive's " + c.Object
		}
		return &DamagedError{id, c.First, c.Last, where, fmt.Errorf("the checksum is %08x, not %08x", got, c.Checksum)}
	}
	return nil
}
