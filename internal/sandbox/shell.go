package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/internal/process"
)

// shellRequest is a request for a shell, or for the sandbox's end.
type shellRequest struct {
	wire.Shell
	conn  *net.UnixConn
	files []*os.File // standard input, output and error
}

// reply sends the last message to the client, which may have gone, and closes the connection.
func (r *shellRequest) reply(reply wire.ShellReply) {
	_ = json.NewEncoder(r.conn).Encode(reply)
	r.close()
}

func (r *shellRequest) fail(err error) {
	r.reply(wire.ShellReply{Code: engine.ExitFailure, Failure: wire.NewFailure(err)})
}

func (r *shellRequest) close() {
	for _, f := range r.files {
		_ = f.Close()
	}
	_ = r.conn.Close()
}

// shell serves one request, and meanwhile refuses others. It returns the request that removes the sandbox, if there is one.
func (s *supervisor) shell(req *shellRequest, others <-chan *shellRequest, deadline time.Time) (removal *shellRequest) {
	if req.Remove {
		return req
	}
	code, removal, err := s.runShell(req, others, deadline)
	if err != nil {
		req.fail(err)
	} else {
		req.reply(wire.ShellReply{Code: code})
	}
	return removal
}

// shellRequestTime is the time limit for a request after its connection.
const shellRequestTime = 5 * time.Second

// receiveShell reads a request. The result isn't nil even with an error, so that the error can be answered.
func receiveShell(conn *net.UnixConn) (*shellRequest, error) {
	req := &shellRequest{conn: conn}
	if err := conn.SetReadDeadline(time.Now().Add(shellRequestTime)); err != nil {
		return req, err
	}
	data, control := make([]byte, wire.MaxShellRequest), make([]byte, unix.CmsgSpace(3*4))
	n, cn, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return req, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil {
		return req, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return req, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			req.files = append(req.files, os.NewFile(uintptr(fd), "stream"))
		}
	}
	if err := json.Unmarshal(data[:n], &req.Shell); err != nil {
		return req, err
	}
	if !req.Remove && len(req.Args) == 0 {
		return req, errors.New("the request for a shell names no command")
	}
	if !req.Remove && len(req.files) != 3 {
		return req, fmt.Errorf("%d streams instead of three", len(req.files))
	}
	return req, nil
}

// runShell runs one process in the kept sandbox, in a new container with the same
// namespaces and file system.
func (s *supervisor) runShell(req *shellRequest, others <-chan *shellRequest, deadline time.Time) (code int, removal *shellRequest, err error) {
	if req.Terminal && s.start.Spec.Security.OtherRuntime() {
		return 0, nil, &engine.Unsupported{
			Feature: "terminal under runtime " + s.start.Spec.Security.Runtime,
			Why:     "the runtime can't hand it over",
			Remedy:  "give standard input another way: mayfly shell RUN -- COMMAND < /dev/null",
		}
	}
	// The tool may have replaced folders with links since they were checked.
	if err := errors.Join(s.rootfs.checkPlaces(s.start.Spec), s.rootfs.checkInVolumes()); err != nil {
		return 0, nil, err
	}
	if err := s.removeContainer(); err != nil {
		return 0, nil, err
	}
	if err := s.limitShell(); err != nil {
		return 0, nil, fmt.Errorf("limit the shell's memory: %w", err)
	}
	s.oci.Process.Args = req.Args
	s.oci.Process.Terminal = req.Terminal
	s.oci.Process.ConsoleSize = &specs.Box{Width: uint(req.Columns), Height: uint(req.Rows)}
	// A start that hangs has the deadline of an end, because nothing else ends the sandbox meanwhile.
	stuck := process.NewDeadline(s.start.EndWithin, func() { os.Exit(1) })
	err = s.startContainer(req.files[0], req.files[1], req.files[2])
	stuck.Stop()
	if err != nil {
		runtime.GC() // closes the descriptors that libcontainer leaves open for the previous container
		return 0, nil, err
	}
	for _, f := range req.files {
		_ = f.Close()
	}
	_ = json.NewEncoder(req.conn).Encode(wire.ShellReply{Started: true}) // watchShell notices a client that has gone
	return s.watchShell(req.conn, others, deadline)
}

// watchShell waits for the end of a shell and returns its exit status. It ends
// the shell, with an error, at the deadline, when the client has gone, when the
// sandbox must be removed, or when it has too many sockets or locks.
func (s *supervisor) watchShell(conn *net.UnixConn, others <-chan *shellRequest, deadline time.Time) (code int, removal *shellRequest, err error) {
	gone := make(chan struct{})
	go func() {
		// The client sends nothing more, so a read ends when the client has gone,
		// or at the deadline.
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
			return code, nil, s.container.signal(unix.SIGKILL) // ends the shell's background processes
		case <-count.C:
			sockets, locks, err := s.count()
			switch {
			case err != nil:
				return 0, nil, errors.Join(err, s.container.signal(unix.SIGKILL))
			case locks:
				why = fmt.Errorf("the shell is ended: it had more than %d locks of parts of files; lock fewer at once", engine.MaxLocks)
			case sockets:
				why = errors.New("the shell is ended: it had more sockets than the run's memory limit allows; open fewer, or run the tool with more memory")
			}
		case other := <-others:
			if !other.Remove {
				other.fail(errors.New("a shell is already open in the sandbox, and only one can be; end it first"))
				continue
			}
			removal, why = other, errors.New("the shell is ended: the sandbox is removed")
		case <-gone:
			why = errors.New("the sandbox's time is up")
		}
	}
	s.expectEnd()
	if err := s.container.signal(unix.SIGKILL); err != nil {
		return 0, removal, err
	}
	<-s.ended
	s.pauseEnd()
	return 0, removal, why
}

// leastShell is the memory in bytes that a shell may use even if the sandbox's
// files take all of the run's memory limit. Files that a shell makes count
// towards the limit of the next shell.
const leastShell = 16 << 20

// removeContainer removes the container that has ended, and counts the sandbox's
// files whose memory counted towards its cgroup. After an error nothing is
// counted, since the next shell removes the container again.
func (s *supervisor) removeContainer() error {
	files, err := s.accounts.files()
	if err != nil {
		return err
	}
	if err := s.container.destroy(); err != nil {
		return err
	}
	s.held += files
	return nil
}

// limitShell reduces the memory limit of the next container by the memory of the
// sandbox's files that was counted for removed containers.
func (s *supervisor) limitShell() error {
	disk, err := s.rootfs.fileBytes()
	if err != nil {
		return err
	}
	resources := s.start.Spec.Resources
	resources.Memory = max(resources.Memory-min(s.held, disk), min(leastShell, resources.Memory))
	s.oci.Linux.Resources, err = cgroupResources(resources)
	return err
}
