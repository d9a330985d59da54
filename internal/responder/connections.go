package responder

import (
	"net"
	"sync"
)

// Connections has the open connections of a responder. Its methods may be called from any goroutine. End ends what Serve and
// Go have started, and Wait returns when all of it has ended:
//
//	Serve, Serve, Go ...  ->  End  ->  Wait
type Connections struct {
	limit  int
	ending chan struct{}
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// NewConnections returns an empty set. limit is the number of connections at once.
func NewConnections(limit int) *Connections {
	return &Connections{limit: limit, ending: make(chan struct{}), open: map[net.Conn]bool{}}
}

// Serve calls answer in a new goroutine, and closes the connection when answer has returned. within tells answer whether the
// connection is within the limit. Serve itself returns immediately. A connection that arrives after End is closed.
func (c *Connections) Serve(conn net.Conn, answer func(within bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Ended() {
		_ = conn.Close()
		return
	}
	c.open[conn] = true
	within := len(c.open) <= c.limit
	c.work.Go(func() { // while the lock is held, so that it is before Wait
		defer c.leave(conn)
		answer(within)
	})
}

func (c *Connections) leave(conn net.Conn) {
	_ = conn.Close() // it may be closed already
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// Go runs f in a new goroutine. f must return after End. Go may be called by an answer, or before the first connection.
func (c *Connections) Go(f func()) { c.work.Go(f) }

// Ending returns a channel that End closes.
func (c *Connections) Ending() <-chan struct{} { return c.ending }

// Ended reports whether End was called.
func (c *Connections) Ended() bool {
	select {
	case <-c.ending:
		return true
	default:
		return false
	}
}

// End closes all connections, so that answers that read or write end with an error. It may be called again.
func (c *Connections) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Ended() {
		return
	}
	close(c.ending)
	for conn := range c.open {
		_ = conn.Close()
	}
}

// Wait returns when all answers and what Go started have returned, after End.
func (c *Connections) Wait() { c.work.Wait() }

// Open returns the number of open connections.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
