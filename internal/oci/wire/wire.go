// Package wire is what mayfly and mayfly-shim say to each other.
//
// They share one stream socket, which is the shim's descriptor 3. Each side
// writes JSON values, one a line. The socket is also the leash: when mayfly
// dies, however it dies, the shim reads the end of the stream, ends its
// sandbox and exits; when the shim dies, mayfly reads it.
//
//	mayfly                         mayfly-shim
//	  |---- Hello -------------------->|  a shim of another protocol reports a failure
//	  |---- Request{Start} ----------->|  spec, secret values and what is on this host, once
//	  |<--- Report{Running} -----------|  the tool's first process was executed
//	  |<--- Report{Event}… ------------|  metrics, connections; a quick tool's may come before Running
//	  |---- Request{Signal}… --------->|
//	  |<--- Report{Exit|Failure} ------|  last one; everything is gone by then, except what can't be killed
//	  |---- Request{Done} ------------>|  the last report has come; mayfly removes the run's directory
//	  |---- end of stream ------------>|
//
// [Arguments] describes the shim's arguments.
//
// The tool's own streams do not pass here: descriptors 4, 5 and 6 of the shim
// are the tool's standard input, output and error (4 is a socket for the
// terminal's controlling side when there is a terminal).
package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// Descriptors that the shim inherits.
const (
	FDControl = 3
	FDStdin   = 4
	FDStdout  = 5
	FDStderr  = 6
	FDLease   = 7 // holds the lock on the run's id range for as long as the shim lives
	FDLock    = 8 // holds the lock on the run's directory
)

// Request is a message to the shim: exactly one field is set.
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

	// Dir is the run's directory. The shim mounts on Dir/root (an ordinary
	// user's elsewhere: sandbox/mountpoint.go); it removes Dir itself only when
	// mayfly is gone without Done.
	Dir string `json:"dir"`
	// FirstID is the first of the IDCount host ids that the sandbox's ids
	// 0, 1, … stand for, for users and for groups.
	FirstID int `json:"first_id"`
	IDCount int `json:"id_count"`
	// Cgroup is the path of the run's cgroup below each hierarchy's root.
	Cgroup string `json:"cgroup"`
	// OwnCgroup is the directory of the shim's own cgroup. When mayfly is gone
	// without Done, the shim writes its number to the file LeaveTo to leave it,
	// and removes it.
	OwnCgroup string `json:"own_cgroup"`
	LeaveTo   string `json:"leave_to"`
	// EndWithin is how long taking the sandbox down may take, on a machine that is idle.
	EndWithin time.Duration `json:"end_within"`
	// Rootless says that the shim is root of a user namespace only.
	Rootless bool `json:"rootless,omitempty"`
}

// Report is a message from the shim: exactly one field is set.
type Report struct {
	Running bool          `json:"running,omitempty"` // the tool was started
	Event   *engine.Event `json:"event,omitempty"`
	Exit    *engine.Exit  `json:"exit,omitempty"`
	Failure *Failure      `json:"failure,omitempty"`
}

// ShimCgroup is the cgroup of a run's shim, beside the run's own.
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

// Err is the error that NewFailure was given, as far as it can be told.
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

// SocketName is the socket in a kept run's directory on which its shim takes
// shells: one connection each.
//
//	mayfly shell                   mayfly-shim
//	  |---- Shell + descriptors ------>|  stdin, stdout, stderr (SCM_RIGHTS); with a terminal, its socket and two spare
//	  |<--- ShellReply: started -------|
//	  |<--- ShellReply: its end -------|  the only one for a removal, and for a second shell beside one that runs
//
// The end of the stream from mayfly ends the shell.
const SocketName = "shell"

// SocketIn is the address of that socket in an open directory. It is short, however long the directory's name is: an
// address has 108 bytes (unix(7)).
func SocketIn(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), SocketName), Net: "unix"}
}

// Shell asks for a process in a kept sandbox, or for its end.
type Shell struct {
	Args     []string `json:"args,omitempty"`
	Terminal bool     `json:"terminal,omitempty"`
	Columns  uint16   `json:"columns,omitempty"`
	Rows     uint16   `json:"rows,omitempty"`
	// Remove ends the sandbox instead.
	Remove bool `json:"remove,omitempty"`
}

// MaxShellRequest is the largest request for a shell, encoded. The shim
// reads it at once: a read ends after the piece that has the streams
// (unix(7)), and Linux makes pieces of at least this size of what is written
// (unix_stream_sendmsg, UNIX_SKB_FRAGS_SZ).
const MaxShellRequest = 32 << 10

// ShellReply says that the process has started, and then how it ended.
type ShellReply struct {
	Started bool     `json:"started,omitempty"`
	Code    int      `json:"code"`
	Failure *Failure `json:"failure,omitempty"`
}

// SocketLimitFile limits the memory of sockets on cgroup v1, of TCP and of UDP
// in spite of its name.
const SocketLimitFile = "memory.kmem.tcp.limit_in_bytes"
