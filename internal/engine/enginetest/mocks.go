package enginetest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// testMocks answers a tool's connections and one of its commands, unless the engine refuses mocks.
func testMocks(t *testing.T, h *Harness) {
	m := newMocks(t)
	spec := h.Spec(Mocked, "you")
	spec.Network.Mode = network.ModePublic
	spec.Mocks = &engine.Mocks{
		Allow: network.Policy{Mode: network.ModeNone}, Loopback: []network.PortRange{network.Port(8080)}, Commands: []string{"greet"},
	}
	local := engine.Local{Image: h.Unpacked, Connections: m.listen("connections", m.connection), Commands: m.listen("commands", m.command)}
	r := h.runWith(t, spec, local, nil)
	if want := "localhost true\napi.example false\ngreet you, you\n"; r.stdout != want || r.stderr != "" || r.exit.Code != 7 {
		t.Errorf("%+v, want %q", r, want)
	}
}

// testAuthority checks that the tool trusts a test's certificate.
func testAuthority(t *testing.T, h *Harness) {
	const authority = "-----BEGIN CERTIFICATE-----\nbWF5Zmx5IHRlc3Q=\n-----END CERTIFICATE-----\n"
	spec := h.Spec(Trusted, "")
	spec.Mocks = &engine.Mocks{Allow: network.Policy{Mode: network.ModeNone}, Authority: []byte(authority)}
	if r := h.run(t, spec, nil, nil); !strings.Contains(r.stdout, strings.TrimSpace(authority)) {
		t.Errorf("trusted certificates: got %q, want the test's authority in them: %s", r.stdout, r.stderr)
	}
}

// mocks is the mocks' side of the protocols that [engine.Mocks] describes.
type mocks struct {
	t    *testing.T
	dir  string
	work sync.WaitGroup
}

func newMocks(t *testing.T) *mocks {
	t.Helper()
	dir, err := os.MkdirTemp("", "mocks") // the path of a socket has at most 107 bytes (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	m := &mocks{t: t, dir: dir}
	t.Cleanup(func() {
		m.work.Wait()
		os.RemoveAll(dir)
	})
	return m
}

// listen serves a socket until the test ends, and returns its path.
func (m *mocks) listen(name string, serve func(*net.UnixConn, *bufio.Reader) error) string {
	m.t.Helper()
	at := filepath.Join(m.dir, name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err == nil {
		err = os.Chmod(at, 0o666)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.work.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			m.work.Go(func() {
				defer c.Close()
				_ = serve(c, bufio.NewReader(c)) // a run that is closed breaks the connection
			})
		}
	})
	m.t.Cleanup(func() { l.Close() })
	return at
}

// connection answers with the destination of the connection.
func (m *mocks) connection(c *net.UnixConn, r *bufio.Reader) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	var to engine.MockedConnection
	if err := json.Unmarshal(line, &to); err != nil {
		m.t.Errorf("first line %q: %v", line, err)
		return err
	}
	name := "localhost"
	if len(to.Names) > 0 {
		name = to.Names[0]
	}
	text := fmt.Sprintf("%s %t\n", name, to.Loopback)
	answer := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	if _, err := c.Write(append(answer, 0, 0, 0, 0)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// command prints its arguments and its input, and exits with 7.
func (m *mocks) command(c *net.UnixConn, r *bufio.Reader) error {
	frame := func() (string, uint32, error) {
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil || length == 0xffffffff {
			return "", length, err
		}
		text := make([]byte, length)
		_, err := io.ReadFull(r, text)
		return string(text), length, err
	}
	var args []any
	for {
		arg, length, err := frame()
		if err != nil {
			return err
		}
		if length == 0xffffffff {
			break
		}
		args = append(args, arg)
	}
	var input string
	for {
		text, length, err := frame()
		if err != nil {
			return err
		}
		if length == 0 {
			break
		}
		input += text
	}
	text := fmt.Sprintf("%s %s, %s\n", append(args, input)...)
	answer := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(text))), text...)
	_, err := c.Write(append(answer, 3, 0, 0, 0, 1, 7))
	return err
}
