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

// mostLoad bounds how much longer a deadline is on a busy machine.
const mostLoad = 10

// Deadline calls late once, unless it is stopped before. Its time is for an
// idle machine: while more threads want to run than there are processors, it
// waits as much longer. It may be stopped more than once, at any time, and a
// nil one, too; late may be running then.
type Deadline struct {
	mu      sync.Mutex
	stopped bool
	timer   *time.Timer
	load    func() float64 // the machine's, except for tests
}

// NewDeadline starts a deadline.
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

// Late is a deadline as a channel, which is closed when it has passed.
func Late(after time.Duration) (late <-chan struct{}, stop func()) {
	passed := make(chan struct{})
	d := NewDeadline(after, func() { close(passed) })
	return passed, d.Stop
}

// Stop ends the deadline.
func (d *Deadline) Stop() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.timer.Stop()
}

// load is how many threads want to run for each processor, one at the least:
// of the fourth field of /proc/loadavg, which doesn't count those that wait.
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
