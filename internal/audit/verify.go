package audit

import (
	"fmt"
)

// BrokenError says that a log isn't as it was written.
type BrokenError struct {
	Number int64 // the first entry that doesn't fit, or 0 if none is there that should be
	Why    string
}

func (e *BrokenError) Error() string {
	if e.Number == 0 {
		return "the audit log is broken: " + e.Why
	}
	return fmt.Sprintf("the audit log is broken at entry %d: %s", e.Number, e.Why)
}

// Verifier walks a chain. The zero Verifier begins with whatever entry comes first; a log is complete only if that is entry 1.
type Verifier struct {
	// Known is the hash of an entry that was kept elsewhere, or empty.
	Known string

	begun   bool
	first   int64
	before  Head // what the first entry follows
	head    Head
	found   bool // Known was found
	removed *Entry
}

// Add checks the next entry. The error is a *BrokenError.
func (v *Verifier) Add(e *Entry) error {
	switch {
	case e.Hash != e.hash():
		return &BrokenError{e.Number, "its content was changed: its hash isn't that of its fields"}
	case e.Number < 1:
		return &BrokenError{e.Number, "numbers begin with 1"}
	case e.Number == 1 && e.Previous != First:
		return &BrokenError{e.Number, "it is the first one, and names another before it"}
	case !v.begun:
		v.begun, v.first, v.before = true, e.Number, Head{e.Number - 1, e.Previous}
		v.found = v.Known == e.Previous
	case e.Number <= v.head.Number:
		return &BrokenError{e.Number, fmt.Sprintf("it comes after entry %d: it was inserted or moved", v.head.Number)}
	case e.Number > v.head.Number+1:
		return &BrokenError{e.Number, fmt.Sprintf("it comes after entry %d: entries between them were removed or moved", v.head.Number)}
	case e.Previous != v.head.Hash:
		return &BrokenError{e.Number, fmt.Sprintf("it doesn't follow entry %d as that is now: one of the two was replaced", v.head.Number)}
	}
	v.head = e.Head()
	v.found = v.found || v.Known == e.Hash
	if last, ok := e.removed(); ok && last == v.before {
		one := *e
		v.removed = &one
	}
	return nil
}

// Removed returns the entry that says that all entries before the first one were removed, or nil if none says so.
func (v *Verifier) Removed() *Entry { return v.removed }

// First is the number of the first entry, or 0 if there was none.
func (v *Verifier) First() int64 { return v.first }

// Head is the last entry so far.
func (v *Verifier) Head() Head { return v.head }

// End checks that the log has an entry, as each has from the first start of its server on, and isn't shorter than it is known to have
// been. The error is a *BrokenError.
func (v *Verifier) End() error {
	if !v.begun {
		return &BrokenError{Why: "it has no entries"}
	}
	if v.Known != "" && !v.found && v.first > 1 {
		return &BrokenError{0, fmt.Sprintf("no entry from %d to %d has the hash %s: it is one of those before, the end was cut off, or the log was written anew", v.first, v.head.Number, v.Known)}
	}
	if v.Known != "" && !v.found {
		return &BrokenError{0, fmt.Sprintf("no entry up to %d has the hash %s: the end was cut off, or the log was written anew", v.head.Number, v.Known)}
	}
	return nil
}

// Begins checks that the log begins where its keeper says, after the last entry that was removed, and that an entry says so. The error is a
// *BrokenError.
func (v *Verifier) Begins(after *Head) error {
	switch {
	case after == nil || !v.begun:
	case v.before != *after:
		return &BrokenError{v.first, fmt.Sprintf("it is the first one, and the server says that entry %d was the last one to be removed: others were removed too", after.Number)}
	case v.removed == nil && after.Number > 0:
		return &BrokenError{v.first, "it is the first one, and no entry says that those before it were removed: " + Remove}
	}
	return nil
}

// Reached checks that the log goes on to the head that its keeper says it has. The error is a *BrokenError.
func (v *Verifier) Reached(h *Head) error {
	if h != nil && v.head.Number < h.Number {
		return &BrokenError{0, fmt.Sprintf("it ends with entry %d, and the server says that entry %d is the last one: the end was cut off", v.head.Number, h.Number)}
	}
	return nil
}
