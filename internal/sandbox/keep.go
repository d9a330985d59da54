package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// keep reports the exit, lets mayfly go, and serves shells in the sandbox of the
// failed tool until KeepFor has passed or someone removes it. Then it cleans up.
func (s *supervisor) keep(exit *engine.Exit) error {
	err := s.serveShells(exit)
	return errors.Join(err, s.clean())
}

func (s *supervisor) serveShells(exit *engine.Exit) error {
	// Only the owner can connect to the socket, which has mode 0600.
	dir, err := os.Open(s.start.Dir)
	if err != nil {
		return fmt.Errorf("keep the sandbox: %w", err)
	}
	defer dir.Close()
	listener, err := net.ListenUnix("unix", wire.SocketIn(dir))
	if err != nil {
		return fmt.Errorf("keep the sandbox: %w", err)
	}
	defer listener.Close() // removes the socket
	if err := os.Chmod(filepath.Join(s.start.Dir, wire.SocketName), 0o600); err != nil {
		return err
	}
	// Nobody reads this process's standard error after mayfly has gone, and a
	// write to the broken pipe would end this process.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), 2); err != nil {
		return err
	}
	held, err := holdImage(s.start.Local.Image.HoldFile)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := s.report.send(wire.Report{Exit: exit}); err != nil {
		return err
	}
	deadline := time.Now().Add(s.start.Spec.KeepFor)
	if err := listener.SetDeadline(deadline); err != nil {
		return err
	}
	served, stop := context.WithCancel(context.Background())
	defer stop()
	requests, ended := make(chan *shellRequest), make(chan error, 1)
	go func() { ended <- acceptShells(served, listener, requests) }()
	for {
		select {
		case err := <-ended:
			return err
		case req := <-requests:
			if removal := s.shell(req, requests, deadline); removal != nil {
				removal.reply(wire.ShellReply{})
				return nil
			}
		}
	}
}

// maxAsking is the number of connections that may be open without a complete request.
const maxAsking = 16

// acceptShells passes requests on until the listener's deadline.
func acceptShells(ctx context.Context, listener *net.UnixListener, requests chan<- *shellRequest) error {
	asking := make(chan struct{}, maxAsking)
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		asking <- struct{}{}
		go func() {
			defer func() { <-asking }()
			req, err := receiveShell(conn)
			if err != nil {
				req.fail(err)
				return
			}
			select {
			case requests <- req:
			case <-ctx.Done():
				req.close()
			}
		}()
	}
}

// holdImage keeps the image's layers from being removed until the result is
// closed. mayfly holds them itself until the exit is reported.
func holdImage(path string) (io.Closer, error) {
	if path == "" {
		return io.NopCloser(nil), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("hold the image: %w", err)
	}
	ok, err := flock.Try(f, flock.Shared)
	if err == nil && !ok {
		err = fmt.Errorf("another process has locked %s", path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold the image: %w", err), f.Close())
	}
	return f, nil
}
