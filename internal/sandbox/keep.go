package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// keep reports the exit, lets mayfly go, and serves shells in the sandbox of
// the failed tool until its time is up or somebody ends it. Then it cleans up.
func (s *supervisor) keep(exit *engine.Exit) error {
	err := s.serveShells(exit)
	return errors.Join(err, s.clean())
}

func (s *supervisor) serveShells(exit *engine.Exit) error {
	// The socket is only for who may search the run's directory's parent and
	// write to the socket: its owner.
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
	// Nobody reads this process's standard error once mayfly has gone, and a
	// write to a broken pipe would end it.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), 2); err != nil {
		return err
	}
	held, err := holdImage(s.start.Spec.Image.HoldFile)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := s.report.send(wire.Report{Exit: exit}); err != nil {
		return err
	}
	deadline := time.Now().Add(s.start.Spec.KeepFor)
	for {
		if err := listener.SetDeadline(deadline); err != nil {
			return err
		}
		conn, err := listener.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		remove := s.shell(conn, deadline)
		_ = conn.Close()
		if remove {
			return nil
		}
	}
}

// holdImage keeps the image's layers from being removed until the closer is
// closed. Until the exit is reported, mayfly has a hold of its own.
func holdImage(path string) (io.Closer, error) {
	if path == "" {
		return io.NopCloser(nil), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("hold the image: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("hold the image: %w", err), f.Close())
	}
	return f, nil
}

// shell serves one connection; it says whether the sandbox is to be removed.
func (s *supervisor) shell(conn *net.UnixConn, deadline time.Time) (remove bool) {
	req, files, err := receiveShell(conn)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	var exit wire.ShellExit
	switch {
	case err != nil:
	case req.Remove:
		remove = true
	default:
		exit.Code, err = s.runShell(conn, req, files, deadline)
	}
	if err != nil {
		exit = wire.ShellExit{Code: 125, Failure: wire.NewFailure(err)}
	}
	_ = json.NewEncoder(conn).Encode(exit) // who asked may have gone
	return remove
}

// shellRequestTime bounds the wait for a request after its connection.
const shellRequestTime = 5 * time.Second

func receiveShell(conn *net.UnixConn) (*wire.Shell, []*os.File, error) {
	if err := conn.SetReadDeadline(time.Now().Add(shellRequestTime)); err != nil {
		return nil, nil, err
	}
	data, control := make([]byte, wire.MaxShellRequest), make([]byte, unix.CmsgSpace(3*4))
	n, cn, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return nil, nil, err
	}
	var files []*os.File
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil {
		return nil, nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "stream"))
		}
	}
	req := &wire.Shell{}
	if err := json.Unmarshal(data[:n], req); err != nil {
		return nil, files, err
	}
	if !req.Remove && len(files) != 3 {
		return nil, files, fmt.Errorf("%d streams instead of three", len(files))
	}
	return req, files, nil
}

// runShell runs one process in the kept sandbox: a new container on the same
// namespaces and the same file system.
func (s *supervisor) runShell(conn *net.UnixConn, req *wire.Shell, files []*os.File, deadline time.Time) (int, error) {
	if req.Terminal && s.start.Spec.Security.OtherRuntime() {
		return 0, &engine.Unsupported{
			Feature: "terminal under runtime " + s.start.Spec.Security.Runtime,
			Why:     "the runtime can't hand it over",
			Remedy:  "give standard input another way: mayfly shell RUN -- COMMAND < /dev/null",
		}
	}
	// The tool may have replaced folders by links since they were checked.
	if err := errors.Join(s.rootfs.checkPlaces(s.start.Spec), s.rootfs.checkInVolumes()); err != nil {
		return 0, err
	}
	if err := s.limitShell(); err != nil {
		return 0, fmt.Errorf("limit the shell's memory: %w", err)
	}
	if err := s.container.destroy(); err != nil {
		return 0, err
	}
	s.oci.Process.Args = req.Args
	s.oci.Process.Terminal = req.Terminal
	s.oci.Process.ConsoleSize = &specs.Box{Width: uint(req.Columns), Height: uint(req.Rows)}
	if err := s.startContainer(files[0], files[1], files[2]); err != nil {
		return 0, err
	}
	for _, f := range files {
		_ = f.Close()
	}
	return s.watchShell(conn, deadline)
}

// watchShell waits for the end of a shell and returns its exit status, or ends it
// and says why: by the deadline, when whoever asked has gone, or when it has too
// many sockets.
func (s *supervisor) watchShell(conn *net.UnixConn, deadline time.Time) (int, error) {
	gone := make(chan struct{})
	go func() {
		// The other side says nothing more; a read ends when it has gone, or
		// when the sandbox's time is up.
		_ = conn.SetReadDeadline(deadline)
		_, _ = conn.Read(make([]byte, 1))
		close(gone)
	}()
	count := time.NewTicker(socketInterval)
	defer count.Stop()
	var why error
	for why == nil {
		select {
		case <-s.ended:
			code, _ := exitStatus(s.state)
			return code, s.container.signal(unix.SIGKILL) // what the shell left running
		case <-count.C:
			sockets, locks, err := s.count()
			switch {
			case err != nil:
				return 0, errors.Join(err, s.container.signal(unix.SIGKILL))
			case locks:
				why = fmt.Errorf("the shell is ended: it had more than %d locks of parts of files; lock fewer at once", engine.MaxLocks)
			case sockets:
				why = errors.New("the shell is ended: it had more sockets than the run's memory limit allows; open fewer, or run the tool with more memory")
			}
		case <-gone:
			why = errors.New("the sandbox's time is up")
		}
	}
	s.expectEnd()
	if err := s.container.signal(unix.SIGKILL); err != nil {
		return 0, err
	}
	<-s.ended
	s.pauseEnd()
	return 0, why
}

// leastShell is the least that a shell may use when the sandbox's files take
// all of the run's memory limit. The files that it makes itself count for the
// next one.
const leastShell = 16 << 20

// limitShell takes what the sandbox's files hold off the memory limit of the
// next container: it was counted for one whose cgroup is about to go.
func (s *supervisor) limitShell() error {
	held, err := s.accounts.files()
	if err != nil {
		return err
	}
	s.held += held
	disk, err := s.rootfs.fileBytes()
	if err != nil {
		return err
	}
	resources := s.start.Spec.Resources
	resources.Memory = max(resources.Memory-min(s.held, disk), min(leastShell, resources.Memory))
	s.oci.Linux.Resources, err = cgroupResources(resources)
	return err
}
