package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tempdir"
)

// mockSockets are the sockets to which the engine brings the connections and commands of a test's tool. They are in a folder
// that only this user may search, since everyone may open the socket of commands: a sandbox's users don't exist on this
// machine.
type mockSockets struct {
	dir       *tempdir.Dir
	listeners []net.Listener
	accepting sync.WaitGroup
}

// listenForMocks opens the sockets for a run, and sets them in what the engine gets.
func listenForMocks(mocks run.Mocks, local *engine.Local) (*mockSockets, error) {
	dir, err := tempdir.New()
	if err != nil {
		return nil, err
	}
	s := &mockSockets{dir: dir}
	local.Connections, local.Commands = filepath.Join(dir.Path, "connections"), filepath.Join(dir.Path, "commands")
	err = s.listen(local.Connections, 0o600, mocks.Connection)
	if err == nil {
		err = s.listen(local.Commands, 0o666, mocks.Command)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the tool's connections: %w; set TMPDIR to a folder with a short path", err), s.close())
	}
	return s, nil
}

func (s *mockSockets) listen(at string, mode os.FileMode, serve func(net.Conn)) error {
	l, err := net.Listen("unix", at)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	if err := os.Chmod(at, mode); err != nil {
		return err
	}
	s.accepting.Go(func() {
		for {
			c, err := l.Accept()
			switch {
			case err == nil:
				serve(c)
			case errors.Is(err, net.ErrClosed):
				return
			default:
				time.Sleep(10 * time.Millisecond) // there are no free descriptors at the moment
			}
		}
	})
	return nil
}

// close stops accepting connections. Accepted ones end with the sandbox, which is their other side.
func (s *mockSockets) close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	s.accepting.Wait()
	return errors.Join(append(errs, s.dir.Close())...)
}
