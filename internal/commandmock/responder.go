package commandmock

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/responder"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// Responder answers the mocked commands of one test.
type Responder struct {
	times       times
	mocks       []suite.CommandMock
	connections *responder.Connections
	records     *responder.Records[Call, *Call]

	mu       sync.Mutex
	refusals map[string]int // number of connections, by the reason
}

// New returns a responder.
func New(mocks []suite.CommandMock) *Responder {
	return newResponder(mocks, times{args: argsTimeout, pause: stdinPause, most: stdinMost})
}

// times are argsTimeout, stdinPause and stdinMost by default. Tests that are not about them set longer times.
type times struct{ args, pause, most time.Duration }

func newResponder(mocks []suite.CommandMock, times times) *Responder {
	return &Responder{
		times: times, mocks: mocks,
		connections: responder.NewConnections(maxConnections),
		records:     responder.NewRecords[Call](len(mocks), maxCalls, maxRecorded),
		refusals:    map[string]int{},
	}
}

// Commands returns the names of the mocked commands, sorted and each once.
func (r *Responder) Commands() []string {
	names := map[string]bool{}
	for i := range r.mocks {
		names[r.mocks[i].Command] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Close ends all connections and waits until nothing of the responder is left.
func (r *Responder) Close() {
	r.connections.End()
	r.connections.Wait()
}

// Serve takes over the connection of one call (see engine.Mocks) and returns immediately. A connection that arrives after
// Close is closed.
func (r *Responder) Serve(c net.Conn) {
	r.connections.Serve(c, func(within bool) {
		if within {
			r.serve(c)
		} else {
			r.refuse(errTooMany)
		}
	})
}

// errTooMany is the refusal of a connection beyond the limit.
var errTooMany = fmt.Errorf("the tool has more than %d calls at once", maxConnections)

// refuse counts a connection that isn't a call. A command that was killed while it sent its arguments is not counted.
func (r *Responder) refuse(err error) {
	if r.connections.Ended() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, errProtocol), errors.Is(err, errTooMany):
		r.refusals[err.Error()]++
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.refusals[fmt.Sprintf("%s: it doesn't send its arguments within %s", errProtocol, r.times.args)]++
	}
}

// serve answers one call. A connection that doesn't follow the protocol gets no answer.
func (r *Responder) serve(c net.Conn) {
	if err := c.SetReadDeadline(time.Now().Add(r.times.args)); err != nil {
		return
	}
	args, err := readArgs(c)
	if err != nil {
		r.refuse(err)
		return
	}
	call := &Call{Time: time.Now().UTC(), Command: path.Base(args[0]), Args: args[1:]}
	if call.Args == nil {
		call.Args = []string{}
	}
	if !slices.Contains(r.Commands(), call.Command) {
		r.refuse(fmt.Errorf("%w: it calls itself by a name that is not a mocked command's", errProtocol))
		return
	}
	in, err := r.stdin(c, call.Command)
	if err != nil {
		return // the command was killed
	}
	call.setStdin(in)
	// The rest of an input that has only paused is read and dropped, so that its writer isn't blocked.
	if !in.done {
		_ = c.SetReadDeadline(time.Time{})
		r.connections.Go(func() { _, _ = io.Copy(io.Discard, c) }) // until the connection is closed
	}
	answer := r.match(call)
	if answer.Delay > 0 {
		timer := time.NewTimer(answer.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.connections.Ending():
			return
		}
	}
	for _, out := range []struct {
		kind byte
		data string
	}{{kindStdout, answer.Stdout}, {kindStderr, answer.Stderr}, {kindExit, string([]byte{byte(answer.ExitCode)})}} {
		if err := writeFrames(c, out.kind, []byte(out.data)); err != nil {
			return // the command was killed
		}
	}
}

// stdin reads the standard input: to its end if a mock of the command has a condition on it, otherwise until the input
// pauses or times.most has passed.
func (r *Responder) stdin(c net.Conn, command string) (*stdin, error) {
	whole := slices.ContainsFunc(r.mocks, func(m suite.CommandMock) bool { return m.Command == command && m.Stdin != nil })
	in := &stdin{}
	buf := make([]byte, 32<<10)
	end := time.Now().Add(r.times.most)
	for !in.done && (whole || time.Now().Before(end)) {
		var deadline time.Time
		if !whole {
			deadline = time.Now().Add(r.times.pause)
		}
		if err := c.SetReadDeadline(deadline); err != nil {
			return in, err
		}
		err := in.read(c, buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return in, nil
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

// match finds the answer to a call and records it.
func (r *Responder) match(call *Call) suite.CommandAnswer {
	var answer suite.CommandAnswer
	r.records.Match(call, func(used []int) int {
		v := Match(r.mocks, used, call)
		if v.Mock >= 0 {
			m := &r.mocks[v.Mock]
			answer = m.Answers[min(used[v.Mock], len(m.Answers)-1)]
			call.Mock = m.Label
		} else {
			call.Problem = v.Problem(r.mocks, call)
			answer = suite.CommandAnswer{Stderr: "mayfly: " + call.Problem + "\n", ExitCode: engine.ExitNotFound}
		}
		call.ExitCode = answer.ExitCode
		return v.Mock
	})
	return answer
}

// Calls returns the calls so far, in the order in which they were answered.
func (r *Responder) Calls() []Call { return r.records.All() }

// Dropped returns the number of calls that weren't recorded, because there were too many.
func (r *Responder) Dropped() int { return r.records.Dropped() }

// Lost returns the number of dropped calls that no mock answered.
func (r *Responder) Lost() int { return r.records.Lost() }

// Refusals returns the reasons for which connections were refused, with the number of connections for each: they weren't
// calls, or were too many at once.
func (r *Responder) Refusals() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refusals)
}

// Used returns the number of calls that each mock has answered, in the order of the mocks.
func (r *Responder) Used() []int { return r.records.Used() }
