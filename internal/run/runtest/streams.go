package runtest

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// stream is one end of a connection with a test's mocks between two processes:
//
//	<- {"id":1,"stream":7,"opens":"connection"}   or "command"
//	<> {"id":1,"stream":7,"data":"…"}
//	<> {"id":1,"stream":7,"ends":true}            no more data in this direction
//
// Received data waits here for the connection, so that a connection that isn't read blocks no other frame.
type stream struct {
	conn net.Conn

	mu      sync.Mutex
	arrived sync.Cond
	waiting [][]byte
	ended   bool
}

// newStream copies between a connection and frames until both directions have ended.
func newStream(conn net.Conn, send func(data []byte, ends bool) error, closed func()) *stream {
	s := &stream{conn: conn}
	s.arrived.L = &s.mu
	var both sync.WaitGroup
	both.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := conn.Read(buf)
			if n > 0 && send(buf[:n], false) != nil {
				break
			}
			if err != nil {
				break
			}
		}
		_ = send(nil, true) // on an error the other side is gone
	})
	both.Go(func() {
		for data, more := s.next(); more; data, more = s.next() {
			if _, err := conn.Write(data); err != nil {
				break // the connection is closed, and the other direction ends too
			}
		}
		if w, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
	})
	go func() {
		both.Wait()
		_ = conn.Close()
		closed()
	}()
	return s
}

// take receives what the other side sent.
func (s *stream) take(data []byte, ends bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data != nil {
		s.waiting = append(s.waiting, data)
	}
	s.ended = s.ended || ends
	s.arrived.Signal()
}

func (s *stream) next() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.ended {
		s.arrived.Wait()
	}
	if len(s.waiting) == 0 {
		return nil, false
	}
	data := s.waiting[0]
	s.waiting = s.waiting[1:]
	return data, true
}

// streams has the open streams by their numbers.
type streams struct {
	mu   sync.Mutex
	last int
	open map[int]*stream
}

// number returns the number for a new stream.
func (s *streams) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.last
}

// add opens a stream under its number.
func (s *streams) add(n int, conn net.Conn, send func(data []byte, ends bool) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[int]*stream{}
	}
	s.open[n] = newStream(conn, send, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, n)
	})
}

func (s *streams) take(n int, data []byte, ends bool) {
	s.mu.Lock()
	one := s.open[n]
	s.mu.Unlock()
	if one != nil {
		one.take(data, ends)
	}
}

// end ends all open streams, because the other side is gone.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.open {
		one.take(nil, true)
		_ = one.conn.Close()
	}
}

// socketPair returns a connection of this process with itself. Each direction can end separately.
func socketPair() (here, there net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	conn := func(fd int) (net.Conn, error) {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "stream")
		c, err := net.FileConn(f)
		return c, errors.Join(err, f.Close())
	}
	here, errHere := conn(fds[0])
	there, errThere := conn(fds[1])
	return here, there, errors.Join(errHere, errThere)
}

// mocks is the runner's side of mocks in the client's process.
type mocks struct {
	id      int
	answers *frames
	streams *streams
}

func (m *mocks) Connection(c net.Conn) { m.open(c, "connection") }
func (m *mocks) Command(c net.Conn)    { m.open(c, "command") }

func (m *mocks) open(c net.Conn, kind string) {
	n := m.streams.number()
	if m.answers.send(frame{ID: m.id, Stream: n, Opens: kind}) != nil {
		_ = c.Close()
		return
	}
	m.streams.add(n, c, func(data []byte, ends bool) error {
		return m.answers.send(frame{ID: m.id, Stream: n, Data: data, Ends: ends})
	})
}
