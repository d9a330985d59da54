package store

import (
	"context"
	"time"

	"github.com/mayfly-run/mayfly/internal/audit"
)

// Audit has the audit log. An entry's life:
//
//	Audited puts it into a context ──▶ a method that changes something, with that context ──▶ written with the change
//	                                   └─ fails: nothing is written, and PendingOf(ctx).Written is false
//	Append ───────────────────────────────────────────────────────────────────────────────▶ written on its own
//
// Once written, an entry is never changed, and only RemoveEntries removes any. All servers of a database write one chain. The methods may be called from
// several goroutines.
type Audit interface {
	// Append adds an entry. It sets its number, time and hashes.
	Append(ctx context.Context, e *audit.Entry) error
	// Entries returns the entries that match, by number; with f.Latest the highest numbers first.
	Entries(ctx context.Context, f AuditFilter) ([]audit.Entry, error)
	// AuditHead returns the last entry's number and hash.
	AuditHead(ctx context.Context) (audit.Head, error)
	// AuditBegin returns the number and hash of the last entry that was removed; before any was, those are 0 and [audit.First].
	AuditBegin(ctx context.Context) (audit.Head, error)
	// RemoveEntries removes the entries from the beginning of the log, up to most of them, until one is younger than kept. In the same
	// transaction it appends an entry that says so (audit.Removal). The last entry stays, and nothing is removed if there is only what
	// earlier removals have appended. It returns how many were removed; more may be left.
	RemoveEntries(ctx context.Context, kept time.Duration, most int) (int, error)
}

// AuditFilter selects entries. A zero field selects all.
type AuditFilter struct {
	Project       string
	Actor, Action string
	Subject       string
	Since         time.Time
	After, Before int64 // only entries with higher and with lower numbers
	Latest        bool
	Most          int
}

// Pending is an entry that the next change of its context writes, in the same transaction and only if the change is made.
type Pending struct {
	audit.Entry
	Written bool // the store sets it
}

type pendingKey struct{}

// Audited returns a context whose next change writes an entry. Changes with that context aren't made at the same time.
func Audited(ctx context.Context, p *Pending) context.Context {
	return context.WithValue(ctx, pendingKey{}, p)
}

// PendingOf returns the entry of a context, or nil.
func PendingOf(ctx context.Context) *Pending {
	p, _ := ctx.Value(pendingKey{}).(*Pending)
	return p
}
