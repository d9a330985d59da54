// Package fake is an engine without containers: its programs are Go functions.
// It passes the conformance suite, so code that is tested on it meets the same
// contract as on a real engine.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Program is what a command does. It returns its exit status, and has to
// return soon after p.Context is done: that is its KILL.
type Program func(p *Process) int

// Process is a program that runs.
type Process struct {
	// Context ends when the process is killed, or gets a TERM that it hasn't
	// said it ignores.
	Context context.Context
	Args    []string
	Dir     string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Files are the mounted ones, by path.
	Files map[string][]byte
	// Output collects what a tool would write to $MAYFLY_OUTPUT.
	Output []byte

	env     map[string]string
	sandbox *sandbox
}

// Getenv is the variable's value, or "".
func (p *Process) Getenv(name string) string { return p.env[name] }

// IgnoreTERM makes the process survive TERM.
func (p *Process) IgnoreTERM() {
	p.sandbox.mu.Lock()
	defer p.sandbox.mu.Unlock()
	p.sandbox.ignoresTERM = true
}

// Report sends an event as the engine would.
func (p *Process) Report(e engine.Event) { p.sandbox.events <- e }

// Engine is the fake. Its fields are set before the first Start.
type Engine struct {
	// Programs are the commands that can be found, by Args[0].
	Programs map[string]Program
	// Fail, when set, is asked before each start.
	Fail func(*engine.Spec) error

	mu   sync.Mutex
	ids  map[string]bool
	kept map[string]bool
}

var _ engine.Engine = (*Engine)(nil)

// Start implements [engine.Engine].
func (e *Engine) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := local.Validate(spec); err != nil {
		return nil, err
	}
	if e.Fail != nil {
		if err := e.Fail(spec); err != nil {
			return nil, err
		}
	}
	capabilities := e.Capabilities()
	if err := capabilities.Check(spec); err != nil {
		return nil, err
	}
	program, err := e.find(spec.Args)
	if err != nil {
		return nil, err
	}
	p, err := newProcess(spec, local.Secrets, streams)
	if err != nil {
		return nil, err
	}
	if err := e.take(spec.ID); err != nil {
		return nil, err
	}
	s := &sandbox{
		events: make(chan engine.Event, 16),
		done:   make(chan struct{}),
		free:   func() { e.release(spec.ID) },
		keep:   func(yes bool) { e.keep(spec.ID, yes) },
		kept:   spec.KeepFor > 0,
		limit:  spec.MaxOutputBytes,
	}
	p.sandbox = s
	p.Context, s.kill = context.WithCancelCause(context.Background())
	go s.run(program, p)
	return s, nil
}

// Capabilities implements [engine.Engine].
func (e *Engine) Capabilities() engine.Capabilities {
	return engine.Capabilities{Networks: network.Modes(), Mounts: engine.MountKinds(), Keeps: true}
}

func (e *Engine) find(args []string) (Program, error) {
	if p, ok := e.Programs[args[0]]; ok {
		return p, nil
	}
	if args[0] == "/etc" {
		return nil, &engine.CommandError{Path: args[0], Why: "it is a directory"}
	}
	return nil, &engine.CommandError{Path: args[0], NotFound: true, Why: "the fake engine has no such program"}
}

func (e *Engine) take(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids[id] {
		return fmt.Errorf("run %s is running", id)
	}
	if e.ids == nil {
		e.ids = map[string]bool{}
	}
	e.ids[id] = true
	return nil
}

func (e *Engine) release(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ids, id)
}

func (e *Engine) keep(id string, yes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == nil {
		e.kept = map[string]bool{}
	}
	if yes {
		e.kept[id] = true
	} else {
		delete(e.kept, id)
	}
}

// Kept are the ids of the sandboxes that are kept, sorted.
func (e *Engine) Kept() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.kept))
}

func newProcess(spec *engine.Spec, secrets engine.Secrets, streams engine.Streams) (*Process, error) {
	p := &Process{
		Args: spec.Args, Dir: spec.WorkingDir, Files: map[string][]byte{},
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
	secret := func(name string) ([]byte, error) {
		value, ok := secrets[name]
		if !ok {
			return nil, &engine.InvalidError{Field: "secret " + name, Why: "no value was given for it"}
		}
		return value, nil
	}
	for _, v := range spec.Environment {
		if v.Secret != "" {
			if _, err := secret(v.Secret); err != nil {
				return nil, err
			}
		}
		p.env[v.Name] = v.In(secrets)
	}
	for _, m := range spec.Mounts {
		switch m.Kind {
		case engine.MountContent:
			p.Files[m.Target] = m.Content
		case engine.MountSecret:
			value, err := secret(m.Secret)
			if err != nil {
				return nil, err
			}
			p.Files[m.Target] = value
		}
	}
	return p, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// signalled is the cause of a process's end by a signal.
type signalled engine.Signal

func (s signalled) Error() string { return fmt.Sprintf("signal %d", int(s)) }

// sandbox is one process with its end.
type sandbox struct {
	events chan engine.Event
	done   chan struct{}
	kill   context.CancelCauseFunc
	free   func()
	keep   func(bool)
	kept   bool // when it fails
	limit  int64

	mu          sync.Mutex
	ignoresTERM bool
	closing     sync.Once

	exit engine.Exit // valid when done is closed
}

func (s *sandbox) run(program Program, p *Process) {
	begin := time.Now()
	s.exit.Started = begin.UTC()
	code := program(p)
	s.exit.Code = code
	var sig signalled
	if errors.As(context.Cause(p.Context), &sig) {
		s.exit.Code, s.exit.Signal = 128+int(sig), engine.Signal(sig)
	}
	s.exit.Finished = time.Now().UTC()
	s.exit.Usage = engine.Usage{CPUSeconds: time.Since(begin).Seconds(), MemoryPeakBytes: 1 << 20}
	s.exit.Output = p.Output
	if int64(len(p.Output)) > s.limit {
		s.exit.Output, s.exit.OutputTruncated = p.Output[:s.limit], true
	}
	if s.kept && s.exit.Code != 0 {
		s.exit.Kept = true
		s.keep(true)
	}
	s.kill(nil)
	s.free()
	close(s.events)
	close(s.done)
}

func (s *sandbox) Events() <-chan engine.Event { return s.events }

func (s *sandbox) Signal(sig engine.Signal) error {
	s.mu.Lock()
	ignored := s.ignoresTERM && sig == engine.SIGTERM
	s.mu.Unlock()
	if !ignored {
		s.kill(signalled(sig))
	}
	return nil
}

func (s *sandbox) Resize(uint16, uint16) error { return nil }

func (s *sandbox) Wait() (engine.Exit, error) {
	<-s.done
	return s.exit, nil
}

func (s *sandbox) Close() error {
	s.kill(signalled(engine.SIGKILL))
	s.closing.Do(func() {
		go func() { // nobody may be receiving any more
			for range s.events {
			}
		}()
	})
	<-s.done
	return nil
}

func (s *sandbox) Remove() error {
	err := s.Close()
	s.keep(false)
	return err
}
