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
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// KeptRuns implements [engine.Keeper].
func (e *Engine) KeptRuns() ([]engine.Kept, error) {
	kept, err := e.keptRuns()
	for _, other := range e.elsewhere() {
		more, e := other.keptRuns()
		kept, err = append(kept, more...), errors.Join(err, e)
	}
	return kept, err
}

func (e *Engine) keptRuns() ([]engine.Kept, error) {
	sockets, err := filepath.Glob(filepath.Join(e.runsDir(), "*", wire.SocketName))
	if err != nil {
		return nil, err
	}
	var kept []engine.Kept
	for _, path := range sockets {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch alive, err := (&runDir{path: filepath.Dir(path)}).alive(); {
		case err != nil:
			return nil, err
		case !alive:
			continue // the next start removes it
		}
		kept = append(kept, engine.Kept{ID: filepath.Base(filepath.Dir(path)), Since: info.ModTime().UTC()})
	}
	return kept, nil
}

// dialKept connects to a kept sandbox, and returns its run's directory too.
func (e *Engine) dialKept(id string) (conn *net.UnixConn, dir string, err error) {
	if id != filepath.Base(id) {
		return nil, "", &engine.NotKeptError{ID: id}
	}
	for _, at := range append([]*Engine{e}, e.elsewhere()...) {
		dir = filepath.Join(at.runsDir(), id)
		conn, err = dialSocket(dir)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED) {
			return conn, dir, err
		}
	}
	return nil, "", &engine.NotKeptError{ID: id}
}

func dialSocket(dir string) (*net.UnixConn, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.DialUnix("unix", nil, wire.SocketIn(f))
}

// RemoveKept implements [engine.Keeper].
func (e *Engine) RemoveKept(id string) error {
	conn, dir, err := e.dialKept(id)
	if err != nil {
		return err
	}
	defer conn.Close()
	since := time.Now()
	late, stop := process.Late(e.patience.end)
	defer stop()
	shim := shimOf(conn)
	overdue := func() error { return process.Overdue("end", since, []int{shim}) }
	lost := json.NewEncoder(conn).Encode(wire.Shell{Remove: true}) // an error may mean that it is already being removed
	if lost == nil {
		select {
		case reply := <-shellReplies(conn):
			if reply.Failure != nil {
				lost = reply.Failure.Err()
			}
		case <-late:
			return overdue()
		}
	}
	for { // the shim removes the run's directory last
		gone := lost != nil && unix.Kill(shim, 0) != nil
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if gone {
			return lost
		}
		select {
		case <-late:
			return overdue()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shimOf returns the id of the process that serves a kept sandbox (SO_PEERCRED, unix(7)), or 0 if it is unknown.
func shimOf(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

// shellReplies returns a channel of the replies to a request; the last one is the end. The channel has room for both, so that
// the goroutine ends even if nobody receives.
func shellReplies(conn *net.UnixConn) <-chan wire.ShellReply {
	replies := make(chan wire.ShellReply, 2)
	go func() {
		dec := json.NewDecoder(conn)
		for {
			var reply wire.ShellReply
			if err := dec.Decode(&reply); err != nil {
				reply = wire.ShellReply{Code: engine.ExitFailure, Failure: wire.NewFailure(engine.ErrLost)}
			}
			replies <- reply
			if !reply.Started {
				return
			}
		}
	}()
	return replies
}

// Shell implements [engine.Keeper].
func (e *Engine) Shell(id string, args []string, terminal *engine.Terminal, streams engine.Streams) (int, error) {
	conn, _, err := e.dialKept(id)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stdio, err := newStdio(terminal != nil, streams)
	if err != nil {
		return 0, err
	}
	defer stdio.close()
	ask := wire.Shell{Args: args, Terminal: terminal != nil}
	var resized <-chan [2]uint16
	var gone <-chan struct{}
	if terminal != nil {
		ask.Columns, ask.Rows, resized, gone = terminal.Columns, terminal.Rows, terminal.Resized, terminal.Gone
	}
	req, err := json.Marshal(ask)
	if err != nil {
		return 0, err
	}
	if len(req) > wire.MaxShellRequest {
		return 0, fmt.Errorf("the command has %d bytes, and a shell takes at most %d; write it to a file, or pass it on standard input: mayfly shell %s -- sh < FILE", len(req), wire.MaxShellRequest, id)
	}
	rights := unix.UnixRights(int(stdio.theirs[0].Fd()), int(stdio.theirs[1].Fd()), int(stdio.theirs[2].Fd()))
	if _, _, err := conn.WriteMsgUnix(req, rights, nil); err != nil {
		return 0, err
	}
	stdio.closeTheirs()
	since := time.Now()
	late, stop := process.Late(e.patience.start)
	defer stop()
	replies := shellReplies(conn)
	for {
		select {
		case <-late:
			return 0, process.Overdue("start a shell", since, []int{shimOf(conn)})
		case <-gone:
			return 0, errors.New("the shell is ended: its terminal is gone") // the shim ends it when the connection does
		case size := <-resized:
			_ = stdio.resize(size[0], size[1]) // a terminal with a wrong size still works
		case reply := <-replies:
			if !reply.Started {
				if reply.Failure != nil {
					return reply.Code, reply.Failure.Err()
				}
				return reply.Code, stdio.wait()
			}
			stop()
			late = nil
			if err := stdio.start(); err != nil {
				return 0, err
			}
			if terminal != nil {
				terminal.Take()
			}
		}
	}
}
