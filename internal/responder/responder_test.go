package responder

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// TestEnd checks that an answer that waits for the tool ends, that Wait waits for it and for what it started, and that
// nothing is answered afterwards.
func TestEnd(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := NewConnections(1)
	answers := make(chan bool)
	var ended atomic.Int32
	serve := func() net.Conn {
		ours, theirs := net.Pipe()
		c.Serve(theirs, func(within bool) {
			c.Go(func() {
				<-c.Ending()
				ended.Add(1)
			})
			answers <- within
			_, _ = theirs.Read(make([]byte, 1)) // until End closes it
		})
		return ours
	}
	first := serve()
	if within := <-answers; !within {
		t.Error("the first connection is beyond the limit of 1")
	}
	second := serve()
	if within := <-answers; within {
		t.Error("the second connection is within the limit of 1")
	}
	_ = second.Close()
	c.End()
	c.End()
	c.Wait()
	if ended.Load() != 2 || c.Open() != 0 {
		t.Errorf("after Wait %d of 2 have ended, and %d connections are open", ended.Load(), c.Open())
	}
	for name, conn := range map[string]net.Conn{"one that was open": first, "a late one": serve()} {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
