//go:build linux

package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// Kept is a sandbox that was kept after its tool failed.
type Kept struct {
	ID    string    `json:"id"`
	Since time.Time `json:"kept"`
}

// KeptRuns lists the sandboxes that can be looked into.
func (e *Engine) KeptRuns() ([]Kept, error) {
	kept, err := e.keptRuns()
	for _, other := range e.elsewhere() {
		more, e := other.keptRuns()
		kept, err = append(kept, more...), errors.Join(err, e)
	}
	return kept, err
}

func (e *Engine) keptRuns() ([]Kept, error) {
	sockets, err := filepath.Glob(filepath.Join(e.runsDir(), "*", wire.SocketName))
	if err != nil {
		return nil, err
	}
	var kept []Kept
	for _, path := range sockets {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, Kept{ID: filepath.Base(filepath.Dir(path)), Since: info.ModTime().UTC()})
	}
	return kept, nil
}

// NotKeptError says that a run's sandbox can't be looked into.
type NotKeptError struct{ ID string }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("no kept sandbox of run %q; mayfly run --keep-on-failure keeps one, and mayfly shell lists them", e.ID)
}

// FindKept is the id of the kept sandbox that is meant by an id or by the beginning of one.
func (e *Engine) FindKept(given string) (string, error) {
	kept, err := e.KeptRuns()
	if err != nil {
		return "", err
	}
	var found []string
	for _, k := range kept {
		if k.ID == given {
			return given, nil
		}
		if given != "" && strings.HasPrefix(k.ID, given) {
			found = append(found, k.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", &NotKeptError{ID: given}
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%q is the beginning of %d runs; write more of the id: %s", given, len(found), strings.Join(found[:min(len(found), 3)], ", "))
}

// dialKept connects to a kept sandbox, and says which directory its run has.
func (e *Engine) dialKept(id string) (conn *net.UnixConn, dir string, err error) {
	if id != filepath.Base(id) {
		return nil, "", &NotKeptError{ID: id}
	}
	for _, at := range append([]*Engine{e}, e.elsewhere()...) {
		dir = filepath.Join(at.runsDir(), id)
		conn, err = dialSocket(dir)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED) {
			return conn, dir, err
		}
	}
	return nil, "", &NotKeptError{ID: id}
}

func dialSocket(dir string) (*net.UnixConn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.DialUnix("unix", nil, wire.SocketIn(f))
}

// RemoveKept ends a kept sandbox and waits until it is gone.
func (e *Engine) RemoveKept(id string) error {
	conn, dir, err := e.dialKept(id)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(wire.Shell{Remove: true}); err != nil {
		return err
	}
	var exit wire.ShellExit
	if err := json.NewDecoder(conn).Decode(&exit); err != nil {
		return err
	}
	// The shim removes the run's directory last.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the sandbox of run %s is still there: %s", id, dir)
		}
	}
}

// Shell runs a process in a kept sandbox and returns its exit status. Sizes of
// the terminal arrive on resized.
func (e *Engine) Shell(id string, args []string, terminal bool, size [2]uint16, resized <-chan [2]uint16, streams engine.Streams) (int, error) {
	conn, _, err := e.dialKept(id)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stdio, err := newStdio(terminal, streams)
	if err != nil {
		return 0, err
	}
	defer stdio.close()
	req, err := json.Marshal(wire.Shell{Args: args, Terminal: terminal, Columns: size[0], Rows: size[1]})
	if err != nil {
		return 0, err
	}
	if len(req) > wire.MaxShellRequest {
		return 0, fmt.Errorf("the command has %d bytes, and a shell takes %d; write it to a file, or give it on standard input: mayfly shell %s -- sh < FILE", len(req), wire.MaxShellRequest, id)
	}
	rights := unix.UnixRights(int(stdio.theirs[0].Fd()), int(stdio.theirs[1].Fd()), int(stdio.theirs[2].Fd()))
	if _, _, err := conn.WriteMsgUnix(req, rights, nil); err != nil {
		return 0, err
	}
	stdio.closeTheirs()
	exits := make(chan wire.ShellExit, 1)
	go func() {
		var exit wire.ShellExit
		if err := json.NewDecoder(conn).Decode(&exit); err != nil {
			exit = wire.ShellExit{Code: 125, Failure: wire.NewFailure(engine.ErrLost)}
		}
		if stdio.console != nil { // unblocks a wait for a terminal that never came
			_ = unix.Shutdown(int(stdio.console.Fd()), unix.SHUT_RDWR)
		}
		exits <- exit
	}()
	startErr := stdio.start()
	for {
		select {
		case size := <-resized:
			_ = stdio.resize(size[0], size[1]) // a terminal of the wrong size still works
			continue
		case exit := <-exits:
			if exit.Failure != nil {
				return exit.Code, exit.Failure.Err()
			}
			if startErr != nil {
				return exit.Code, startErr
			}
			return exit.Code, stdio.wait()
		}
	}
}
