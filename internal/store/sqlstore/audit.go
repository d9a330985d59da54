package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Append implements store.Audit.
func (s *Store) Append(ctx context.Context, e *audit.Entry) error {
	p := &store.Pending{Entry: *e}
	err := s.write(store.Audited(ctx, p), func(context.Context, *tx) error { return nil })
	if err == nil {
		*e = p.Entry
	}
	return err
}

// take remembers the entry of a write that has succeeded.
func (t *tx) take(ctx context.Context) {
	if p := store.PendingOf(ctx); p != nil && !p.Written {
		t.entries = append(t.entries, p)
	}
}

// audited says that the entries are durable.
func (t *tx) audited() {
	for _, p := range t.entries {
		p.Written = true
	}
}

// chain writes the collected rows, and returns the statements that add the entries of the whole group to the chain. They are the last ones
// before the commit: other servers wait for the row of the head until then, and it waits for nothing that they have.
func (t *tx) chain(ctx context.Context) ([]*call, error) {
	if len(t.entries) == 0 {
		return nil, t.flush(ctx)
	}
	head, now := audit.Head{}, int64(0)
	// The time is that of a statement after the lock, so that entries are in the order of time: the one that waits has begun before others.
	err := t.carryOut(ctx,
		&call{statement: `SELECT number, hash FROM audit_head FOR UPDATE`, scan: func(row row) error { return row.Scan(&head.Number, &head.Hash) }},
		&call{statement: `SELECT NOW`, scan: func(row row) error { return row.Scan(&now) }})
	if err == nil && head.Hash == "" {
		err = errors.New("the head of the audit log is missing")
	}
	if err != nil {
		return nil, err
	}
	for _, p := range t.entries {
		p.Follow(head, timeOf(now))
		head = p.Head()
		details, err := json.Marshal(p.Details)
		if err != nil {
			return nil, err
		}
		t.add(newEntries, p.Number, p.Time.UnixMilli(), p.Actor, p.ActorProject, p.Address, p.Action, p.Project, p.Subject, p.Outcome, string(details), p.Previous, p.Hash)
	}
	last := append(t.collected(), &call{statement: `UPDATE audit_head SET number = ?, hash = ?`, args: []any{head.Number, head.Hash}})
	if t.removed != nil {
		last = append(last, &call{statement: `UPDATE audit_head SET removed = ?, removed_hash = ?`, args: []any{t.removed.Number, t.removed.Hash}})
	}
	return last, nil
}

const auditColumns = `number, at, actor, actor_project, address, action, project, subject, outcome, details, previous, hash`

var newEntries = kindOf(`INSERT OR FAIL INTO audit (`+auditColumns+`) VALUES `, marks(strings.Count(auditColumns, ",")+1), ``, nil)

// Entries implements store.Audit.
func (s *Store) Entries(ctx context.Context, f store.AuditFilter) ([]audit.Entry, error) {
	where, args := []string{"number > ?"}, []any{f.After}
	and := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if f.Before > 0 {
		and("number < ?", f.Before)
	}
	if f.Project != "" {
		and("project = ?", f.Project)
	}
	if f.Actor != "" {
		and("actor = ?", f.Actor)
	}
	if f.Action != "" {
		and("action = ?", f.Action)
	}
	if f.Subject != "" {
		and("subject = ?", f.Subject)
	}
	if !f.Since.IsZero() {
		and("at >= ?", f.Since.UnixMilli())
	}
	order := "number"
	if f.Latest {
		order = "number DESC"
	}
	all := []audit.Entry{}
	err := s.read(ctx, func(rows row) error {
		var e audit.Entry
		var at int64
		var details string
		if err := rows.Scan(&e.Number, &at, &e.Actor, &e.ActorProject, &e.Address, &e.Action, &e.Project, &e.Subject, &e.Outcome, &details, &e.Previous, &e.Hash); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
			return fmt.Errorf("read the details of entry %d of the audit log: %w", e.Number, err)
		}
		e.Time = timeOf(at)
		all = append(all, e)
		return nil
	}, `SELECT `+auditColumns+` FROM audit WHERE `+strings.Join(where, " AND ")+` ORDER BY `+order+` LIMIT ?`, append(args, f.Most)...)
	return all, err
}

// AuditHead implements store.Audit.
func (s *Store) AuditHead(ctx context.Context) (h audit.Head, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&h.Number, &h.Hash) }, `SELECT number, hash FROM audit_head`)
	return h, err
}

// AuditBegin implements store.Audit.
func (s *Store) AuditBegin(ctx context.Context) (h audit.Head, err error) {
	err = s.read(ctx, func(rows row) error { return rows.Scan(&h.Number, &h.Hash) }, removedEntries)
	return h, err
}

const removedEntries = `SELECT removed, removed_hash FROM audit_head`

// errNothingOld says that no entry is to be removed.
var errNothingOld = errors.New("no entry of the audit log is too old")

// RemoveEntries implements store.Audit. The row of the head changes only at the end of the transaction, as appendEntries promises. Another
// server that removes entries at the same time holds the first of them, and is left to it.
func (s *Store) RemoveEntries(ctx context.Context, kept time.Duration, most int) (removed int, err error) {
	p := &store.Pending{}
	err = s.write(store.Audited(ctx, p), func(ctx context.Context, tx *tx) error {
		var begin, last audit.Head
		if err := tx.rows(ctx, func(rows row) error { return rows.Scan(&begin.Number, &begin.Hash) }, removedEntries); err != nil {
			return err
		}
		number, others, young := begin.Number, false, false
		removed, last = 0, begin
		err := tx.rows(ctx, func(rows row) error {
			var one audit.Head
			var action string
			var old bool
			if err := rows.Scan(&one.Number, &one.Hash, &action, &old); err != nil {
				return err
			}
			if number++; young || one.Number != number || !old {
				young = true
				return nil
			}
			removed, last, others = removed+1, one, others || action != audit.Remove
			return nil
		}, `SELECT number, hash, action, at <= NOW - ? FROM audit WHERE number < (SELECT number FROM audit_head)
			ORDER BY number LIMIT ? FOR UPDATE SKIP LOCKED`, kept.Milliseconds(), most)
		if err != nil {
			return err
		}
		if !others && removed < most { // a full batch of them is worth the entry that says so
			return refused{errNothingOld}
		}
		n, err := tx.exec(ctx, `DELETE FROM audit WHERE number <= ?`, last.Number)
		if err == nil && n != int64(removed) {
			err = errTaken
		}
		if err != nil {
			return err
		}
		p.Entry, tx.removed = audit.Removal(last, removed), &last
		return nil
	})
	if errors.Is(err, errNothingOld) {
		return 0, nil
	}
	return removed, err
}
