// Package audit has the entries of a server's audit log and the chain that they make: each entry has the hash of the one before it,
// so an entry that is changed, removed, inserted or moved later is found by whoever walks the chain. Only the end can be cut off
// without a trace in what is left; it is found with the hash of an entry that was kept elsewhere.
//
// Entries that are older than their keeper wants to have may be removed from the beginning. What is left is still a chain, and has an
// entry that says so: its action is [Remove], and its details are last and hash, those of the last entry that was removed.
//
// # The hash
//
// The hash of an entry is SHA-256 over its fields, each as a netstring (LENGTH ":" BYTES ",", where LENGTH is the number of bytes in
// decimal), in this order: previous; number, in decimal; time, in milliseconds since 1970, in decimal; actor; actor_project; address;
// action; project; subject; outcome; then the key and the value of each of details, by key in the order of their bytes. Hashes are 64
// hexadecimal digits in lower case. Previous of the first entry is 64 zeros.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OK is the outcome of what was done. Any other outcome is the code of the problem that it was answered with.
const OK = "ok"

// Remove is the action of an entry about entries that were removed from the beginning of the log.
const Remove = "remove-audit"

// Removal returns the entry that is written with a removal of entries up to last.
func Removal(last Head, entries int) Entry {
	return Entry{Action: Remove, Subject: "audit", Outcome: OK, Details: map[string]string{
		lastKey: strconv.FormatInt(last.Number, 10), hashKey: last.Hash, "entries": strconv.Itoa(entries),
	}}
}

const (
	lastKey = "last"
	hashKey = "hash"
)

// removed returns the last entry that was removed, as an entry says.
func (e *Entry) removed() (last Head, ok bool) {
	if e.Action != Remove || e.Outcome != OK || e.Actor != "" {
		return Head{}, false
	}
	n, err := strconv.ParseInt(e.Details[lastKey], 10, 64)
	return Head{n, e.Details[hashKey]}, err == nil
}

// Entry is one entry of the log.
type Entry struct {
	Number       int64             `json:"number" doc:"from 1, without a gap"`
	Time         time.Time         `json:"time" doc:"by the clock of the database, to the millisecond"`
	Actor        string            `json:"actor" doc:"the name of the token, or empty for a request without a valid one"`
	ActorProject string            `json:"actor_project,omitempty" doc:"the project that the token is for; empty for all"`
	Address      string            `json:"address,omitempty" doc:"the address that the request came from; empty for the server itself"`
	Action       string            `json:"action" doc:"the operationId of the request, or what the server did itself, such as use-secrets"`
	Project      string            `json:"project,omitempty" doc:"the project that it is about; empty for none or all"`
	Subject      string            `json:"subject" doc:"what it is about, such as runs/ID or secrets/NAME"`
	Outcome      string            `json:"outcome" doc:"ok, or the code of the problem"`
	Details      map[string]string `json:"details,omitempty"`
	Previous     string            `json:"previous" doc:"the hash of the entry before; 64 zeros for the first one"`
	Hash         string            `json:"hash" doc:"SHA-256 of this entry, in hexadecimal"`
}

// First is Previous of the first entry.
var First = strings.Repeat("0", hex.EncodedLen(sha256.Size))

// Head is the last entry of a log. That of an empty one is {0, First} in a store; a [Verifier] that has seen no entry returns the zero Head.
type Head struct {
	Number int64  `json:"number"`
	Hash   string `json:"hash"`
}

// maxText bounds the texts of an entry: much of them is what clients have sent.
const maxText = 300

// Follow makes e the entry after a head.
func (e *Entry) Follow(h Head, at time.Time) {
	e.Number, e.Time, e.Previous = h.Number+1, at.UTC().Truncate(time.Millisecond), h.Hash
	for _, text := range []*string{&e.Actor, &e.ActorProject, &e.Address, &e.Action, &e.Project, &e.Subject, &e.Outcome} {
		*text = clean(*text)
	}
	details := make(map[string]string, len(e.Details))
	for k, v := range e.Details {
		details[clean(k)] = clean(v)
	}
	if e.Details = details; len(details) == 0 {
		e.Details = nil
	}
	e.Hash = e.hash()
}

// Head returns the entry as the head of the log that ends with it.
func (e *Entry) Head() Head { return Head{e.Number, e.Hash} }

// clean returns a text that databases and JSON keep as it is: valid UTF-8 without NUL, of bounded length.
func clean(text string) string {
	const ellipsis = "…"
	if len(text) > maxText {
		text = text[:maxText-len(ellipsis)] + ellipsis
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// hash returns what Hash must be.
func (e *Entry) hash() string {
	var b []byte
	add := func(texts ...string) {
		for _, t := range texts {
			b = append(append(append(strconv.AppendInt(b, int64(len(t)), 10), ':'), t...), ',')
		}
	}
	add(e.Previous, strconv.FormatInt(e.Number, 10), strconv.FormatInt(e.Time.UnixMilli(), 10),
		e.Actor, e.ActorProject, e.Address, e.Action, e.Project, e.Subject, e.Outcome)
	for _, k := range slices.Sorted(maps.Keys(e.Details)) {
		add(k, e.Details[k])
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
