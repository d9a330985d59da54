//go:build linux

package process

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// mostLoad is the largest factor by which load makes a deadline longer.
const mostLoad = 10

// Deadline calls a function once, unless it is stopped first. Its time is for an
// idle machine: while more threads want to run than there are processors, it
// waits longer by the same ratio.
type Deadline struct {
	mu      sync.Mutex
	stopped bool
	timer   *time.Timer
	load    func() float64 // load, or a test's function
}

// NewDeadline starts a deadline, which calls late in its own goroutine.
func NewDeadline(after time.Duration, late func()) *Deadline {
	return newDeadline(after, load, late)
}

func newDeadline(after time.Duration, load func() float64, late func()) *Deadline {
	started := time.Now()
	d := &Deadline{load: load}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(after, func() {
		if d.expired(started, after) {
			late()
		}
	})
	return d
}

func (d *Deadline) expired(started time.Time, after time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return false
	}
	if time.Since(started) < time.Duration(float64(after)*d.load()) {
		d.timer.Reset(max(after/10, time.Millisecond))
		return false
	}
	return true
}

// Late starts a deadline and returns a channel that is closed when it has passed.
func Late(after time.Duration) (late <-chan struct{}, stop func()) {
	passed := make(chan struct{})
	d := NewDeadline(after, func() { close(passed) })
	return passed, d.Stop
}

// Stop ends the deadline. It may be called at any time, more than once, and on
// nil. It doesn't wait for the function, which may be running.
func (d *Deadline) Stop() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.timer.Stop()
}

// load returns the number of threads that want to run for each processor, from
// 1 to mostLoad. The number is in the fourth field of /proc/loadavg
// (proc_loadavg(5)), which doesn't count waiting threads.
func load() float64 {
	data, _ := os.ReadFile("/proc/loadavg")
	fields := bytes.Fields(data)
	var running, all int
	if len(fields) < 4 {
		return 1
	}
	if _, err := fmt.Sscanf(string(fields[3]), "%d/%d", &running, &all); err != nil {
		return 1
	}
	return min(max(float64(running)/float64(runtime.NumCPU()), 1), mostLoad)
}
