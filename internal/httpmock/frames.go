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

// The frames that aren't data (see engine.Mocks).
const (
	frameEnd   = 0
	frameReset = 0xffffffff
	maxFrame   = 64 << 10
)

// errReset is the error of a connection that was reset from here.
var errReset = errors.New("the connection is reset")

// connection is one connection of the tool: what it sends is read as it comes, and what it gets is written in frames.
type connection struct {
	net.Conn // the unix socket
	in       *bufio.Reader
	about    engine.MockedConnection
	closed   func()

	// Set before the first request is served.
	tls        bool
	serverName string

	// served counts requests, and active says that one was begun; the server's goroutines use them.
	mu     sync.Mutex
	served int
	active bool

	writing sync.Mutex
	ended   bool // an end or a reset is sent
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

// CloseWrite ends what the tool gets; package net/http calls it before it closes.
func (c *connection) CloseWrite() error { return c.finish(frameEnd) }

// reset resets the connection.
func (c *connection) reset() {
	// A Write that is stuck, since the tool doesn't read, holds the lock that the frame needs.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.finish(frameReset) // a tool that has gone needs none
	_ = c.Close()
}

func (c *connection) finish(frame uint32) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	// A tls.Conn that is closed leaves a deadline in the past here, to have further writes fail.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], frame)
	_, err := c.Conn.Write(head[:])
	return err
}

// Close ends what the tool gets, unless that has ended, and closes the socket.
func (c *connection) Close() error {
	c.closing.Do(func() {
		_ = c.finish(frameEnd) // the socket's end says as much
		c.cut()
		c.closed()
	})
	return nil
}

// cut closes the socket, which ends whatever waits for a tool that neither reads nor writes.
func (c *connection) cut() { _ = c.Conn.Close() }

// peeked is a connection from which some bytes have been read already.
type peeked struct {
	net.Conn
	in   io.Reader
	conn *connection
}

func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// CloseWrite ends what the tool gets.
func (p *peeked) CloseWrite() error {
	if w, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
