package local

import (
	"bytes"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/run"
)

// LogWriter turns one stream of the tool into log events. It emits whole lines if possible, so that a program that writes
// byte by byte doesn't cause an event for each; the beginning of a line is emitted after logDelay. A character that is cut at
// the end of a piece stays whole.
type LogWriter struct {
	Stream string // stdout or stderr
	Emit   func(*run.Log)

	mu      sync.Mutex
	waiting []byte
	timer   *time.Timer
}

const (
	// logDelay is how long the beginning of a line waits for the rest.
	logDelay = 50 * time.Millisecond
	// maxLogPiece is the largest size of one event's data, in bytes.
	maxLogPiece = 64 << 10
)

// Write implements io.Writer.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		room := min(maxLogPiece-len(w.waiting), len(p))
		w.waiting = append(w.waiting, p[:room]...)
		p = p[room:]
		if end := bytes.LastIndexByte(w.waiting, '\n') + 1; end > 0 {
			w.put(end)
		} else if len(w.waiting) == maxLogPiece {
			w.put(len(w.waiting) - incomplete(w.waiting))
		}
	}
	if len(w.waiting) > 0 && w.timer == nil {
		w.timer = time.AfterFunc(logDelay, w.late)
	}
	return n, nil
}

// late emits the beginning of a line that has waited for logDelay.
func (w *LogWriter) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	w.put(len(w.waiting) - incomplete(w.waiting))
}

// Flush emits the rest when the stream has ended.
func (w *LogWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.put(len(w.waiting))
}

// put emits the first n waiting bytes.
func (w *LogWriter) put(n int) {
	if n == 0 {
		return
	}
	w.Emit(run.NewLog(w.Stream, w.waiting[:n]))
	w.waiting = append(w.waiting[:0], w.waiting[n:]...)
}

// incomplete returns the length of an incomplete character at the end of data.
func incomplete(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if c := data[len(data)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(data[len(data)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
