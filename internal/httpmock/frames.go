package httpmock

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// Lengths of frames (see engine.Mocks). A frame of length frameEnd or frameReset has no data.
const (
	frameEnd   = 0
	frameReset = 0xffffffff
	maxFrame   = 64 << 10
)

// errReset is the error of a write to a connection that the responder has ended or reset.
var errReset = errors.New("the connection is reset")

// connection is one connection of the tool. Data from the tool arrives without frames; data to the tool is sent in frames.
type connection struct {
	net.Conn // the unix socket
	in       *bufio.Reader
	about    engine.MockedConnection
	closed   func()

	// These are set before the first request is served.
	tls        bool
	serverName string

	// served is the number of requests, and active says that a request has begun. The server's goroutines use both.
	mu     sync.Mutex
	served int
	active bool

	writing sync.Mutex
	ended   bool // an end or a reset was sent
	closing sync.Once
}

// newConnection reads the engine's line about a connection.
func newConnection(c net.Conn, closed func()) (*connection, error) {
	conn := &connection{Conn: c, in: bufio.NewReaderSize(c, 4<<10), closed: closed}
	if err := c.SetReadDeadline(time.Now().Add(firstLineTimeout)); err != nil {
		return conn, err
	}
	var line []byte
	for {
		part, err := conn.in.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return conn, fmt.Errorf("read the engine's line about a connection: %w", err)
		}
		if len(line) > maxFirstLine {
			return conn, fmt.Errorf("the engine's line about a connection is longer than %d bytes", maxFirstLine)
		}
	}
	if err := json.Unmarshal(line, &conn.about); err != nil {
		return conn, fmt.Errorf("read the engine's line about a connection: %w", err)
	}
	return conn, c.SetReadDeadline(time.Time{})
}

// Read reads what the tool sends.
func (c *connection) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write sends data to the tool.
func (c *connection) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended {
		return 0, errReset
	}
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		var head [4]byte
		binary.BigEndian.PutUint32(head[:], uint32(n))
		buffers := net.Buffers{head[:], p[:n]}
		if _, err := buffers.WriteTo(c.Conn); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// CloseWrite ends the data to the tool. Package net/http calls it before it closes a connection.
func (c *connection) CloseWrite() error { return c.finish(frameEnd) }

// reset resets the connection.
func (c *connection) reset() {
	// If the tool doesn't read, a Write may be stuck and hold the lock that finish needs.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.finish(frameReset) // a tool that has gone needs no reset
	_ = c.Close()
}

func (c *connection) finish(frame uint32) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	// A tls.Conn that is closed sets a deadline in the past, so that further writes fail.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], frame)
	_, err := c.Conn.Write(head[:])
	return err
}

// Close ends the data to the tool, unless that has ended already, and closes the socket. It always returns nil.
func (c *connection) Close() error {
	c.closing.Do(func() {
		_ = c.finish(frameEnd) // if it fails, the end of the socket says the same
		c.cut()
		c.closed()
	})
	return nil
}

// cut closes the socket. Reads and writes that wait for the tool end with an error.
func (c *connection) cut() { _ = c.Conn.Close() }

// peeked is a connection whose first bytes have been read already; in reads them again.
type peeked struct {
	net.Conn
	in   io.Reader
	conn *connection
}

func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// CloseWrite ends the data to the tool.
func (p *peeked) CloseWrite() error {
	if w, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
