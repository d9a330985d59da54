package condition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/program"
)

// Request is one line to mayfly-cel. Exactly one field is set.
//
//	mayfly                      mayfly-cel
//	  |---- Request -------------->|
//	  |<--- Answer ----------------|
//	  |---- end of stream -------->|  it exits
type Request struct {
	Check    []Expression     `json:"check,omitempty"`
	Evaluate *EvaluateRequest `json:"evaluate,omitempty"`
}

// EvaluateRequest asks for the value of an expression.
type EvaluateRequest struct {
	Expression Expression `json:"expression"`
	Values     Values     `json:"values"`
}

// Answer is one line from mayfly-cel.
type Answer struct {
	// Problems has one element for each expression of the request, which is nil if the expression is valid.
	Problems []*Problem `json:"problems"`
	Value    bool       `json:"value,omitempty"`
	// Error is a failure of the evaluator.
	Error string `json:"error,omitempty"`
}

// Process is an [Evaluator] that asks mayfly-cel. The first question starts the program.
type Process struct {
	program string

	mu  sync.Mutex // one question at a time
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

var _ Evaluator = (*Process)(nil)

// NewProcess returns an evaluator that uses the program mayfly-cel at a path. If path is empty, it looks for the program beside
// this one and in PATH when it first needs it.
func NewProcess(path string) *Process { return &Process{program: path} }

// patience is how long a question may take. CEL's cost limit ends an evaluation much sooner, so a program that takes longer is
// broken.
const patience = 30 * time.Second

// Check implements [Evaluator].
func (p *Process) Check(ctx context.Context, list []Expression) ([]*Problem, error) {
	if len(list) == 0 {
		return nil, nil
	}
	a, err := p.ask(ctx, Request{Check: list}, len(list))
	return a.Problems, err
}

// Evaluate implements [Evaluator].
func (p *Process) Evaluate(ctx context.Context, e Expression, v Values) (bool, *Problem, error) {
	a, err := p.ask(ctx, Request{Evaluate: &EvaluateRequest{Expression: e, Values: v}}, 1)
	if err != nil {
		return false, nil, err
	}
	return a.Value, a.Problems[0], nil
}

// ask asks a question. If the running program has ended, it asks once more, which is safe since questions have no effects.
func (p *Process) ask(ctx context.Context, req Request, answers int) (Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	had := p.cmd != nil
	a, err := p.askOnce(ctx, req, answers)
	if had && err != nil && p.cmd == nil && ctx.Err() == nil {
		return p.askOnce(ctx, req, answers)
	}
	return a, err
}

func (p *Process) askOnce(ctx context.Context, req Request, answers int) (Answer, error) {
	if err := p.start(); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	process, path := p.cmd.Process, p.cmd.Path
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer stop()
	var a Answer
	err := p.enc.Encode(req)
	if err == nil {
		err = p.dec.Decode(&a)
	}
	switch {
	case err != nil:
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return a, errors.Join(fmt.Errorf("ask %s about a condition: %w", path, err), p.end())
	case a.Error != "":
		return a, fmt.Errorf("evaluate a condition: %s", a.Error)
	case len(a.Problems) != answers:
		return a, fmt.Errorf("%s answered %d questions of %d; install all programs from the same release", path, len(a.Problems), answers)
	}
	return a, nil
}

func (p *Process) start() error {
	if p.cmd != nil {
		return nil
	}
	path := p.program
	if path == "" {
		var err error
		if path, err = program.Find(program.CEL); err != nil {
			return err
		}
	}
	cmd := exec.Command(path)
	cmd.Env, cmd.Stderr = []string{"GOMEMLIMIT=256MiB"}, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s, which evaluates conditions: %w", path, err)
	}
	p.cmd, p.in, p.enc, p.dec = cmd, in, json.NewEncoder(in), json.NewDecoder(out)
	p.enc.SetEscapeHTML(false)
	return nil
}

// Close implements [Evaluator].
func (p *Process) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end()
}

// end ends the program by closing its input.
func (p *Process) end() error {
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	_ = p.in.Close()
	p.cmd = nil
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return nil
}
