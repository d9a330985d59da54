package responder

import (
	"net"
	"sync"
)

// Connections are those that a responder answers. Serve and Go are called until Wait returns, from any goroutine; End ends
// what they started, and Wait returns when all of it has ended:
//
//	Serve, Serve, Go ...  ->  End  ->  Wait
type Connections struct {
	most   int
	ending chan struct{}
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// NewConnections returns an empty set. A connection that makes it more than most is beyond the limit.
func NewConnections(most int) *Connections {
	return &Connections{most: most, ending: make(chan struct{}), open: map[net.Conn]bool{}}
}

// Serve calls answer in a goroutine, which says whether the connection is within the limit, and closes the connection when
// it returns. Serve itself returns immediately. A connection that arrives after End is closed.
func (c *Connections) Serve(conn net.Conn, answer func(within bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Ended() {
		_ = conn.Close()
		return
	}
	c.open[conn] = true
	within := len(c.open) <= c.most
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

// Go runs f, which must end after End. It is called by an answer, or before the first connection.
func (c *Connections) Go(f func()) { c.work.Go(f) }

// Ending is closed by End.
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

// Open returns the number of connections.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
