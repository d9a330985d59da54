// Package wire has the messages between mayfly and mayfly-shim.
//
// They share one stream socket, which is the shim's descriptor 3. Each side
// writes JSON values, one per line. The socket also tells each side about the end
// of the other, however it ends: when mayfly ends, the shim reads the end of the
// stream, ends its sandbox and exits; when the shim ends, mayfly reads the end of
// the stream.
//
//	mayfly                         mayfly-shim
//	  |---- Hello -------------------->|  a shim of another protocol reports a failure
//	  |---- Request{Start} ----------->|  once: the spec, secret values and what only this host has
//	  |<--- Report{Running} -----------|  the tool's first process was executed
//	  |<--- Report{Event}… ------------|  metrics, connections; they may precede Running
//	  |---- Request{Signal}… --------->|
//	  |<--- Report{Exit|Failure} ------|  the last report; everything is gone by then, except what can't be killed
//	  |---- Request{Done} ------------>|  mayfly has the last report, and removes the run's directory
//	  |---- end of stream ------------>|
//
// [Arguments] describes the shim's arguments.
//
// The tool's own streams don't use this socket: descriptors 4, 5 and 6 of the shim
// are the tool's standard input, output and error. With a terminal, 4 is a socket
// for the terminal's controlling side.
package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// The descriptors that the shim inherits.
const (
	FDControl = 3
	FDStdin   = 4
	FDStdout  = 5
	FDStderr  = 6
	FDLease   = 7 // holds the lock on the run's id range as long as the shim lives
	FDLock    = 8 // holds the lock on the run's directory as long as the shim lives
)

// Request is a message to the shim. Exactly one field is set.
type Request struct {
	Start  *Start         `json:"start,omitempty"`
	Signal *engine.Signal `json:"signal,omitempty"`
	// Done says that mayfly has the last report and removes the run's directory.
	Done bool `json:"done,omitempty"`
}

// Start is everything the shim needs to run one tool.
type Start struct {
	Spec  *engine.Spec `json:"spec"`
	Local engine.Local `json:"local"`

	// Dir is the run's directory. The shim mounts the sandbox on Dir/root (for
	// an ordinary user elsewhere: sandbox/mountpoint.go). It removes Dir itself
	// only if mayfly is gone without Done.
	Dir string `json:"dir"`
	// FirstID is the host id of the sandbox's id 0. The sandbox has IDCount ids,
	// for users and for groups.
	FirstID int `json:"first_id"`
	IDCount int `json:"id_count"`
	// Cgroup is the path of the run's cgroup below each hierarchy's root.
	Cgroup string `json:"cgroup"`
	// OwnCgroup is the directory of the shim's own cgroup. If mayfly is gone
	// without Done, the shim writes its process id to the file LeaveTo, which
	// moves it out of its cgroup, and removes the cgroup.
	OwnCgroup string `json:"own_cgroup"`
	LeaveTo   string `json:"leave_to"`
	// EndWithin is the time limit for taking the sandbox down on an idle machine.
	EndWithin time.Duration `json:"end_within"`
	// Rootless says that the shim is root only of a user namespace.
	Rootless bool `json:"rootless,omitempty"`
}

// Report is a message from the shim. Exactly one field is set.
type Report struct {
	Running bool          `json:"running,omitempty"` // the tool was started
	Event   *engine.Event `json:"event,omitempty"`
	Exit    *engine.Exit  `json:"exit,omitempty"`
	Failure *Failure      `json:"failure,omitempty"`
}

// ShimCgroup returns the cgroup of a run's shim, next to the run's own.
func ShimCgroup(run string) string { return run + ".shim" }

// Failure carries an error across the socket without losing its type.
type Failure struct {
	Message     string               `json:"message,omitempty"`
	Unsupported *engine.Unsupported  `json:"unsupported,omitempty"`
	Command     *engine.CommandError `json:"command,omitempty"`
	Invalid     *engine.InvalidError `json:"invalid,omitempty"`
}

// NewFailure describes err, which must not be nil.
func NewFailure(err error) *Failure {
	f := &Failure{Message: err.Error()}
	switch {
	case errors.As(err, &f.Unsupported), errors.As(err, &f.Command), errors.As(err, &f.Invalid):
	}
	return f
}

// Err returns the error that NewFailure described. Its type is kept if it is one
// of Failure's fields; other errors are text.
func (f *Failure) Err() error {
	switch {
	case f.Unsupported != nil:
		return f.Unsupported
	case f.Command != nil:
		return f.Command
	case f.Invalid != nil:
		return f.Invalid
	}
	return fmt.Errorf("mayfly-shim: %s", f.Message)
}

// SocketName is the socket in a kept run's directory at which its shim accepts
// requests for shells, one per connection.
//
//	mayfly shell                   mayfly-shim
//	  |---- Shell + descriptors ------>|  stdin, stdout, stderr (SCM_RIGHTS); with a terminal, its socket and two unused ones
//	  |<--- ShellReply: started -------|
//	  |<--- ShellReply: its end -------|  the only reply to a removal, and to a second shell while one is open
//
// The end of the stream from mayfly ends the shell.
const SocketName = "shell"

// SocketIn returns the address of that socket in an open directory. It is short even if the directory's name is long: an
// address has at most 108 bytes (unix(7)).
func SocketIn(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), SocketName), Net: "unix"}
}

// Shell asks for a process in a kept sandbox, or for the sandbox's end.
type Shell struct {
	Args     []string `json:"args,omitempty"`
	Terminal bool     `json:"terminal,omitempty"`
	Columns  uint16   `json:"columns,omitempty"`
	Rows     uint16   `json:"rows,omitempty"`
	// Remove ends the sandbox instead.
	Remove bool `json:"remove,omitempty"`
}

// MaxShellRequest is the size in bytes of the largest encoded request for a shell.
// The shim reads a request with one call: a read ends after the piece with the
// descriptors (unix(7)), and Linux divides what is written into pieces of at least
// this size (unix_stream_sendmsg, UNIX_SKB_FRAGS_SZ).
const MaxShellRequest = 32 << 10

// ShellReply says that the process has started, and then how it ended.
type ShellReply struct {
	Started bool     `json:"started,omitempty"`
	Code    int      `json:"code"`
	Failure *Failure `json:"failure,omitempty"`
}

// SocketLimitFile is the file of cgroup v1 that limits the memory of sockets: of
// TCP and, in spite of its name, of UDP.
const SocketLimitFile = "memory.kmem.tcp.limit_in_bytes"
