package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// Program implements a command. It returns the exit status, and must return
// soon after p.Context is done: that is its KILL.
type Program func(p *Process) int

// Process is a running program, within the limits of its spec. Only the
// program's own goroutine may call its methods.
type Process struct {
	// Context ends when the process is killed, or gets a TERM that it doesn't
	// ignore (IgnoreTERM).
	Context context.Context
	Args    []string
	Dir     string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Output collects what a tool would write to $MAYFLY_OUTPUT.
	Output []byte
	// Spec and Local are the arguments of Start.
	Spec  *engine.Spec
	Local engine.Local
	// UID and GID are the tool's ids.
	UID, GID int

	files
	env       map[string]string
	sandbox   *sandbox
	memory    int64
	processes int64 // not counting the first
	cpu       time.Duration
	size      atomic.Uint32 // of the terminal: columns << 16 | rows
}

// Getenv returns the variable's value, or "".
func (p *Process) Getenv(name string) string { return p.env[name] }

// IgnoreTERM makes the process survive TERM.
func (p *Process) IgnoreTERM() {
	p.sandbox.mu.Lock()
	defer p.sandbox.mu.Unlock()
	p.sandbox.ignoresTERM = true
}

// Report sends an event to the caller of the engine.
func (p *Process) Report(e engine.Event) { p.sandbox.events <- e }

// Allocate takes memory until the end. The process is killed if it exceeds the limit.
func (p *Process) Allocate(bytes int64) {
	if p.memory += bytes; p.memory > p.Spec.Resources.Memory {
		p.sandbox.exit.OutOfMemory = true
		p.sandbox.kill(signalled(engine.SIGKILL))
	}
}

// Fork starts another process, which does nothing, or fails at the limit.
func (p *Process) Fork() error {
	if p.processes+1 >= p.Spec.Resources.PIDs {
		p.sandbox.exit.TooManyProcesses = true
		return errors.New("resource temporarily unavailable")
	}
	p.processes++
	return nil
}

// OpenFiles returns the soft and the hard limit of open files.
func (p *Process) OpenFiles() (soft, hard int64) {
	r := p.Spec.Resources
	switch {
	case r.NoFile != 0:
		return r.NoFile, r.NoFile
	case r.MostNoFile != 0:
		return min(engine.OpenFiles, r.MostNoFile), r.MostNoFile
	}
	return engine.OpenFiles, engine.MostOpenFiles
}

// Compute uses a processor for d, within the processor limit.
func (p *Process) Compute(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.Context.Done():
	}
	p.cpu += min(d, d*time.Duration(p.Spec.Resources.CPU)/1000)
}

// Terminal returns the size of the terminal; ok is false if there is none.
func (p *Process) Terminal() (columns, rows uint16, ok bool) {
	size := p.size.Load()
	return uint16(size >> 16), uint16(size), p.Spec.Terminal
}

func (p *Process) resize(columns, rows uint16) { p.size.Store(uint32(columns)<<16 | uint32(rows)) }

// newProcess makes a process. The error says why its spec can't run.
func newProcess(spec *engine.Spec, local engine.Local, streams engine.Streams) (*Process, error) {
	p := &Process{
		Args: spec.Args, Dir: spec.WorkingDir, Spec: spec, Local: local,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
		env: map[string]string{"PATH": "/usr/bin:/bin", "HOME": "/root", "HOSTNAME": "fake"},
	}
	if p.Stdin == nil {
		p.Stdin = eof{}
	}
	if p.Stdout == nil {
		p.Stdout = io.Discard
	}
	if p.Stderr == nil {
		p.Stderr = io.Discard
	}
	if spec.Terminal {
		p.Stderr = p.Stdout
	}
	p.resize(spec.Columns, spec.Rows)
	for _, v := range spec.Environment {
		p.env[v.Name] = v.In(local.Secrets)
	}
	if spec.Mocks != nil && spec.Mocks.Authority != nil {
		p.env["SSL_CERT_FILE"] = "/etc/ssl/cert.pem"
	}
	var err error
	if p.UID, p.GID, err = userOf(spec.User); err != nil {
		return nil, err
	}
	return p, p.mount(spec, local)
}

// userOf returns the ids of "user[:group]". It knows root, nobody, nogroup and numbers.
func userOf(text string) (uid, gid int, err error) {
	user, group, named := strings.Cut(text, ":")
	ids := map[string]int{"": 0, "root": 0, "nobody": 65534, "nogroup": 65534}
	id := func(s string) (int, error) {
		if n, known := ids[s]; known {
			return n, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, &engine.InvalidError{Field: "user", Why: fmt.Sprintf("there is no user or group %q", s)}
		}
		return n, nil
	}
	if uid, err = id(user); err != nil {
		return 0, 0, err
	}
	if !named {
		if ids[user] == uid {
			gid = uid
		}
		return uid, gid, nil
	}
	gid, err = id(group)
	return uid, gid, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
