package responder

import (
	"slices"
	"sync"
)

// Record is what a responder keeps of a request or a call. T is the type that implements it by its pointer.
type Record[T any] interface {
	*T
	// Number sets the record's place in the list, from 1.
	Number(n int)
	// Weight is the size of the record in a report, in bytes.
	Weight() int
	// Shorten removes the long parts of the record.
	Shorten()
	// Answered reports whether a mock answered.
	Answered() bool
}

// Records has the records of one test, as many as there is room for, and how often each mock has answered. Its methods may
// be called from any goroutine.
type Records[T any, P Record[T]] struct {
	maxRecords, maxBytes int

	mu            sync.Mutex
	used          []int
	kept          []P
	bytes         int
	dropped, lost int
}

// NewRecords returns an empty list for the given number of mocks. It keeps at most maxRecords, and
// shortens a record that maxBytes leaves no room for.
func NewRecords[T any, P Record[T]](mocks, maxRecords, maxBytes int) *Records[T, P] {
	return &Records[T, P]{maxRecords: maxRecords, maxBytes: maxBytes, used: make([]int, mocks)}
}

// Match finds the mock of a record, counts its use and keeps the record. find gets the uses so far, and returns the index
// of the mock or -1; it may change the record. earlier is the number of uses before this one.
func (r *Records[T, P]) Match(record P, find func(used []int) int) (mock, earlier int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mock = find(r.used)
	if mock >= 0 {
		earlier = r.used[mock]
		r.used[mock]++
	}
	r.add(record)
	return mock, earlier
}

// Add keeps a record, or as much of it as there is room for.
func (r *Records[T, P]) Add(record P) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(record)
}

func (r *Records[T, P]) add(record P) {
	if len(r.kept) >= r.maxRecords {
		r.drop(record.Answered())
		return
	}
	record.Number(len(r.kept) + 1)
	size := record.Weight()
	if r.bytes+size > r.maxBytes {
		record.Shorten()
		size = record.Weight()
	}
	r.bytes += size
	r.kept = append(r.kept, record)
}

// Drop counts a request or a call that isn't recorded. answered says whether something answered it.
func (r *Records[T, P]) Drop(answered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(answered)
}

func (r *Records[T, P]) drop(answered bool) {
	r.dropped++
	if !answered {
		r.lost++
	}
}

// Change calls change, which changes a record that another goroutine may be reading.
func (r *Records[T, P]) Change(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// All returns copies of the records so far, in their order.
func (r *Records[T, P]) All() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]T, len(r.kept))
	for i, record := range r.kept {
		out[i] = *record
	}
	return out
}

// Dropped returns how many requests or calls weren't recorded, because there were too many.
func (r *Records[T, P]) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Lost returns the number of dropped ones that nothing answered.
func (r *Records[T, P]) Lost() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Used returns how often each mock has answered.
func (r *Records[T, P]) Used() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.used)
}

// Bytes returns the sum of the records' weights.
func (r *Records[T, P]) Bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}
