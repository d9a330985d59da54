// Package fake is an engine without containers: its programs are Go functions.
// It passes the conformance suite, so code under test meets the same contract
// with it as with a real engine.
package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Engine is the fake engine. Set its fields before the first Start.
type Engine struct {
	// Programs are the commands that exist, by Args[0].
	Programs map[string]Program
	// Fail, if not nil, is called before each start; an error fails the start.
	Fail func(*engine.Spec) error

	mu   sync.Mutex
	ids  map[string]bool
	kept map[string]*keptProcess
}

// keptProcess is the process of a kept sandbox.
type keptProcess struct {
	*Process
	since time.Time
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Keeper = (*Engine)(nil)
)

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
	p, err := newProcess(spec, local, streams)
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
		keep:   func() { e.keep(p) },
		remove: func() { e.drop(spec.ID) },
	}
	p.sandbox = s
	p.Context, s.kill = context.WithCancelCause(context.Background())
	s.process = p
	go s.run(program)
	return s, nil
}

// Capabilities implements [engine.Engine].
func (e *Engine) Capabilities() engine.Capabilities {
	return engine.Capabilities{Networks: network.Modes(), Mounts: engine.MountKinds(), Terminal: true, Mocks: true, Keeps: true}
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

func (e *Engine) keep(p *Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == nil {
		e.kept = map[string]*keptProcess{}
	}
	e.kept[p.Spec.ID] = &keptProcess{p, time.Now().UTC()}
}

func (e *Engine) drop(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, kept := e.kept[id]
	delete(e.kept, id)
	return kept
}

// KeptRuns implements [engine.Keeper].
func (e *Engine) KeptRuns() ([]engine.Kept, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []engine.Kept
	for id, k := range e.kept {
		all = append(all, engine.Kept{ID: id, Since: k.since})
	}
	return all, nil
}

// RemoveKept implements [engine.Keeper].
func (e *Engine) RemoveKept(id string) error {
	if !e.drop(id) {
		return &engine.NotKeptError{ID: id}
	}
	return nil
}

// Shell implements [engine.Keeper]: it runs another program with the files of the kept process.
func (e *Engine) Shell(id string, args []string, _ *engine.Terminal, streams engine.Streams) (int, error) {
	e.mu.Lock()
	kept := e.kept[id]
	e.mu.Unlock()
	if kept == nil {
		return 0, &engine.NotKeptError{ID: id}
	}
	program, err := e.find(args)
	if err != nil {
		return 0, err
	}
	spec := *kept.Spec
	spec.Args = args
	p, err := newProcess(&spec, kept.Local, streams)
	if err != nil {
		return 0, err
	}
	p.files, p.sandbox = kept.files, kept.sandbox
	var cancel context.CancelFunc
	p.Context, cancel = context.WithCancel(context.Background())
	defer cancel()
	return program(p), nil
}

// Kept returns the ids of the kept sandboxes, sorted.
func (e *Engine) Kept() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.kept))
}
