package httpmock

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mocks parses the text of mocks, as it is in a suite.
func mocks(t testing.TB, text string) []suite.HTTPMock {
	t.Helper()
	s, err := suite.Parse("x_test.yaml", []byte("tool: x\ntests:\n- name: a\n  http:\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Tests[0].HTTP
}

// patience is how long a test waits for what must happen, on any machine and under any load.
const patience = time.Minute

// bridge is a responder behind the engine's side, which takes TCP connections on this machine's loopback.
type bridge struct {
	*Responder
	port string
	ca   string // file of the authority's certificate
	// socket is the path of a unix socket whose connections go to the responder as an engine hands them over.
	socket string
	// open is the number of open connections, and cut of those that ended without a frame that says so.
	open, cut atomic.Int32
}

// ended waits until all connections have ended. A frame must have told the end of each.
func (b *bridge) ended(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(patience); b.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections stay open", b.open.Load())
		}
	}
	if n := b.cut.Load(); n > 0 {
		t.Errorf("%d connections ended without a frame that says so", n)
	}
}

// listen starts a responder and a bridge to it, which describes each connection with about.
func listen(t testing.TB, text string, about engine.MockedConnection) *bridge {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "answer.json"), []byte(`{"from": "file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return listenWith(t, Options{Mocks: mocks(t, text), Dir: dir}, about)
}

func listenWith(t testing.TB, opts Options, about engine.MockedConnection) *bridge {
	t.Helper()
	folder, err := os.MkdirTemp("", "mock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if opts.silence == 0 {
		opts.silence = 2 * patience // clients may be slow
	}
	r, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{Responder: r, ca: filepath.Join(folder, "ca.pem"), socket: filepath.Join(folder, "http")}
	if err := os.WriteFile(b.ca, r.Authority(), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	b.port = strconv.Itoa(port)
	if about.Port == 0 {
		about.Port = uint16(port)
	}
	handed, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		_ = handed.Close()
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		work.Wait()
	})
	work.Go(func() {
		for c, err := handed.Accept(); err == nil; c, err = handed.Accept() {
			r.Serve(c)
		}
	})
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.open.Add(1)
			work.Go(func() {
				defer b.open.Add(-1)
				if carry(t, c.(*net.TCPConn), b.socket, about) {
					b.cut.Add(1)
				}
			})
		}
	})
	return b
}

// errCut is the end of a connection without a frame that says so.
var errCut = errors.New("cut")

// carry does the engine's part of one connection, and reports whether the connection was cut.
func carry(t testing.TB, c *net.TCPConn, socket string, about engine.MockedConnection) bool {
	defer c.Close()
	up, err := net.Dial("unix", socket)
	if err != nil {
		return false // the test has ended
	}
	defer up.Close()
	line, err := json.Marshal(about)
	if err != nil {
		t.Error(err)
	}
	if _, err := up.Write(append(line, '\n')); err != nil {
		return false
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := io.Copy(up, c)
		if err != nil {
			_ = up.Close() // the tool has reset
			return
		}
		_ = up.(*net.UnixConn).CloseWrite()
	}()
	err = frames(up, c)
	if err != nil {
		_ = c.SetLinger(0)
	}
	_ = c.Close()
	_ = up.Close()
	<-sent
	return errors.Is(err, errCut)
}

// frames copies the data of frames to the tool until they end. An error means a reset.
func frames(up io.Reader, c *net.TCPConn) error {
	for {
		var head [4]byte
		if _, err := io.ReadFull(up, head[:]); err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		switch n := binary.BigEndian.Uint32(head[:]); n {
		case frameEnd:
			_ = c.CloseWrite()
			_, err := io.Copy(io.Discard, up) // until it is closed
			return err
		case frameReset:
			return errors.New("reset")
		default:
			if _, err := io.CopyN(c, up, int64(n)); err != nil {
				return err
			}
		}
	}
}
