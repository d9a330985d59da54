// Package runner takes attempts of runs from a server, carries them out on this machine, and reports what happens.
//
//	Server ── Assign ──▶ Runner ── run.Request ──▶ run.Runner (package run/local)
//	       ◀── Report ── outbox ◀── run.Event ────
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// Server is what a runner needs of a server: a client of its API, or the server itself in the same process. Its methods may be
// called from several goroutines.
type Server interface {
	// Messages connects the runner, and calls take with each message until the connection ends.
	Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error
	// Report passes on what happened. An error with the code attempt_not_held is final; after any other it is tried again.
	Report(ctx context.Context, r *api.Report) (*api.Receipt, error)
	Heartbeat(ctx context.Context, h *api.Heartbeat) (*api.Pulse, error)
	// Content returns a content, which the caller closes.
	Content(ctx context.Context, digest string) (io.ReadCloser, error)
	// PutContent sends an artifact.
	PutContent(ctx context.Context, digest string, content io.Reader) error
	// Shell connects a shell that a message asks for.
	Shell(ctx context.Context, id string) (api.ShellConn, error)
}

// Carriage is what carries out one run.
type Carriage struct {
	// Tool is the name by which the server knows the tool, for policies; empty for a definition that came with its request.
	Tool    string
	Secrets secret.Source
	Sealer  run.Sealer     // of what the run hands on
	Policy  *policy.Policy // of the project, beside the host's; may be nil
}

// Options of a runner.
type Options struct {
	Server Server
	Name   string
	Labels []string
	Slots  int
	// Capacity is what of this machine the runs get.
	Capacity api.Capacity
	// Version is that of mayfly.
	Version string
	// Carry returns what carries out a run. It must take files of tools from Content, and put artifacts there.
	Carry   func(Carriage) run.Runner
	Content content.Store
	// Spool is a folder of this runner's own for what can't be sent, and SpoolSize how many bytes it may take.
	Spool     string
	SpoolSize int64
	// Sweep, unless nil, removes what a runner that was killed has left on this machine.
	Sweep func() error
	Keep  Keep
	Log   *slog.Logger
	// Traces gets spans of attempts; nil for none.
	Traces *trace.Tracer
}

// Runner is a runner of one server. Run is called once.
type Runner struct {
	o     Options
	box   *secret.Box // opens secrets that the server seals for this process
	spool *spool
	kept  *keeping

	beating sync.Mutex // a heartbeat says what is, so no earlier one may come after it

	mu    sync.Mutex
	holds map[api.Holding]*attempt
	drain bool
	idle  chan struct{} // closed when it drains and holds nothing

	work sync.WaitGroup
}

// DefaultSpoolSize is the bound of a spool, in bytes, that nobody has set.
const DefaultSpoolSize = 1 << 30

// New returns a runner that isn't connected. It empties the spool.
func New(o Options) (*Runner, error) {
	box, err := secret.NewBox()
	if err != nil {
		return nil, err
	}
	waiting, err := openSpool(o.Spool, o.SpoolSize)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{o: o, box: box, spool: waiting, holds: map[api.Holding]*attempt{}, idle: make(chan struct{})}
	if r.kept, err = newKeeping(o.Keep, o.Log, r.tellKept); err != nil {
		return nil, err
	}
	return r, nil
}

// attempt is one that this runner carries out.
type attempt struct {
	api.Holding
	cancel  context.CancelCauseFunc
	kill    func()
	dropped context.CancelFunc // nothing of it is reported any longer
}

var (
	errAsked   = errors.New("its end was asked for")
	errDropped = errors.New("the server gave the attempt up")
)

// Run connects to the server, again and again, and carries out what it gets until ctx ends. Then it ends what still runs, and
// reports it. It returns nil when ctx has ended or the server had it drain; an error says that the server doesn't take it.
func (r *Runner) Run(ctx context.Context) error {
	// What runs is ended with a grace, and reported, after ctx has ended.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	shells, endShells := context.WithCancel(ctx)
	defer func() {
		endShells()
		r.endAll()
		giveUp := time.AfterFunc(lastReports, r.dropAll)
		r.work.Wait()
		giveUp.Stop()
		r.kept.close()
	}()
	r.work.Go(r.kept.removeLeft)
	if r.o.Sweep != nil {
		sweeping, end := context.WithCancel(ctx)
		defer end()
		r.work.Go(func() { r.sweep(sweeping) })
	}
	pause := 100 * time.Millisecond
	for {
		connected := false
		beats, cancel := context.WithCancel(ctx)
		r.work.Go(func() {
			select {
			case <-r.idle: // it has drained
				cancel()
			case <-beats.Done():
			}
		})
		err := r.o.Server.Messages(beats, r.hello(), func(m api.Message) error {
			if m.Session != nil && !connected {
				connected = true
				r.work.Go(func() { r.beat(beats, time.Duration(m.Session.HeartbeatSeconds)*time.Second) })
			}
			if m.Shell != nil {
				r.work.Go(func() { r.shell(shells, m.Shell) })
				return nil
			}
			return r.take(working, m)
		})
		cancel()
		select {
		case <-r.idle:
			r.leave(working)
			return nil
		default:
		}
		if ctx.Err() != nil {
			return nil
		}
		if final(err) {
			return err
		}
		if connected {
			pause = 100 * time.Millisecond
		}
		if err == nil {
			err = errors.New("the server ended the connection")
		}
		r.o.Log.Warn("not connected to the server; trying again", "error", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-r.idle:
			r.leave(working)
			return nil
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// final says that the server's answer stays the same if the runner asks again.
func final(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests
}

func (r *Runner) hello() *api.Hello {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &api.Hello{Protocol: api.Protocol, Name: r.o.Name, Version: r.o.Version, Labels: r.o.Labels, Slots: r.o.Slots, Capacity: r.o.Capacity, Key: r.box.Recipient(), Tests: true, Keeps: r.kept.on(), Kept: r.kept.list()}
	for hold := range r.holds {
		h.Holds = append(h.Holds, hold)
	}
	return h
}

// take does what the server says.
func (r *Runner) take(ctx context.Context, m api.Message) error {
	switch {
	case m.Assign != nil:
		r.begin(ctx, m.Assign)
	case m.Cancel != nil:
		r.end(*m.Cancel, errAsked)
	case m.Remove != "":
		r.work.Go(func() { r.kept.removeRun(m.Remove) })
	case m.Drain:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drain = true
		r.checkIdle()
	}
	return nil
}

// leave tells the server that the runner has drained. If the server doesn't hear it, it takes the runner for one that is away, and
// has its next process drain as well.
func (r *Runner) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	if _, err := r.o.Server.Heartbeat(ctx, &api.Heartbeat{Hello: *r.hello(), Leaving: true}); err != nil {
		r.o.Log.Warn("tell the server that the runner has drained", "error", err)
	}
}

// checkIdle ends a runner that drains. The caller holds r.mu.
func (r *Runner) checkIdle() {
	if r.drain && len(r.holds) == 0 {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}

func (r *Runner) held(h api.Holding) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holds[h]
}

// end ends an attempt, because of why.
func (r *Runner) end(h api.Holding, why error) {
	a := r.held(h)
	if a == nil {
		return
	}
	if errors.Is(why, errDropped) {
		a.dropped()
		a.kill()
	}
	a.cancel(why)
}

// lastReports is for how long a runner that ends tries to report what it has ended: the server gives it up then anyway.
const lastReports = time.Minute

// lastArtifacts is for how long an attempt whose end was asked for goes on sending its artifacts. There is time left to report how it went.
const lastArtifacts = lastReports / 2

// leaveTime bounds the last words of a runner that has drained.
const leaveTime = 10 * time.Second

func (r *Runner) dropAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.holds {
		r.o.Log.Warn("the server wasn't told how the attempt ended", "run", a.Run, "attempt", a.Attempt)
		a.kill()
		a.dropped()
	}
}

func (r *Runner) endAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.holds {
		a.cancel(errors.New("the runner ends"))
	}
}

// begin starts an attempt, unless it runs already.
func (r *Runner) begin(ctx context.Context, as *api.Assignment) {
	ctx, cancel := context.WithCancelCause(ctx)
	reporting, dropped := context.WithCancel(context.WithoutCancel(ctx))
	killed := make(chan struct{})
	a := &attempt{Holding: as.Holding, cancel: cancel, kill: sync.OnceFunc(func() { close(killed) }), dropped: dropped}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds[as.Holding] != nil {
		cancel(nil)
		dropped()
		return
	}
	r.holds[as.Holding] = a
	r.work.Go(func() {
		defer func() {
			cancel(nil)
			dropped()
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.holds, as.Holding)
			r.checkIdle()
		}()
		out := newOutbox(r.o.Server, as.Holding, r.spool, func(err error) {
			r.o.Log.Warn("report refused; the attempt is ended", "run", as.Run, "attempt", as.Attempt, "error", err)
			r.end(as.Holding, errDropped)
		})
		sent := make(chan struct{})
		r.work.Go(func() {
			defer close(sent)
			if err := out.send(reporting); err != nil {
				r.o.Log.Error("the attempt is ended", "run", as.Run, "attempt", as.Attempt, "error", err)
				r.end(as.Holding, errDropped)
			}
		})
		span := r.o.Traces.Attempt(trace.Carried{
			Parent: as.Traceparent, Run: as.Run, Project: as.Project, Tool: nameOf(as), Number: as.Attempt, Runner: r.o.Name,
		})
		result := r.carryOut(ctx, reporting, as, killed, func(e run.Event) {
			span.Event(e)
			out.add(e)
		})
		span.End(result)
		out.finish(result)
		<-sent
		if err := out.close(); err != nil {
			r.o.Log.Warn("remove from the spool", "run", as.Run, "error", err) // the next start does
		}
	})
}

// nameOf is the name of an attempt's tool, or empty if that is sealed.
func nameOf(as *api.Assignment) string {
	if as.Tool == "" && as.Request != nil && as.Request.Subject() != nil {
		return as.Request.Subject().Name
	}
	return as.Tool
}

// carryOut carries out an attempt. reporting ends when nothing of it is to be sent any longer.
func (r *Runner) carryOut(ctx, reporting context.Context, as *api.Assignment, killed <-chan struct{}, emit func(run.Event)) *run.Result {
	if as.Problem != "" {
		return failed(ctx, as.Run, errors.New(as.Problem), emit)
	}
	req, err := r.request(ctx, as)
	if err != nil {
		return failed(ctx, as.Run, err, emit)
	}
	allowed, err := policyOf(as)
	if err != nil {
		return failed(ctx, as.Run, err, emit)
	}
	secrets, err := unseal(ctx, r.box, as.Secrets)
	if err != nil {
		return failed(ctx, as.Run, err, emit)
	}
	defer secrets.clear()
	if err := r.fetch(ctx, req); err != nil {
		return failed(ctx, as.Run, err, emit)
	}
	var sealer run.Sealer = r.box
	if as.SealFor != "" {
		sealer = r.box.To(as.SealFor)
	}
	allowed = allowed.Given(req.Given)
	end := &ending{emit: emit}
	defer end.release()
	asked := req.KeepFor
	if req.KeepFor, err = r.kept.begin(req.ID, asked); err != nil {
		return failed(ctx, as.Run, err, emit)
	}
	result, err := r.o.Carry(Carriage{as.Tool, secrets, sealer, allowed}).Run(ctx, req, run.Watch{Emit: end.add, Kill: killed})
	if err != nil {
		r.o.Log.Debug("run", "run", as.Run, "error", err) // the result has it
	}
	if asked > 0 && !r.kept.end(as.Run, req.ID, result.KeptID, req.KeepFor) {
		end.fail(result, result.Status, func(res *run.Result) { res.Kept, res.KeptID = false, "" })
	}
	if as.SealFor == "" {
		result.Handed = nil // nobody could open it
	}
	if err := checkSize(result); err != nil {
		state := result.Status
		if state == run.Succeeded {
			state = run.Failed
		}
		end.fail(result, state, func(res *run.Result) {
			if res.Status == run.Succeeded {
				res.Status, res.ExitCode, res.Code, res.Reason = run.Failed, run.ExitError, run.CodeInvalidOutput, err.Error()
			}
			res.Outputs, res.Handed, res.Artifacts = map[string]string{}, nil, nil
		})
	}
	if err := r.sendArtifacts(ctx, reporting, result); err != nil {
		f := failure.Of(err)
		if ctx.Err() != nil {
			f.State, f.ExitCode, f.Code = run.Cancelled, run.ExitCancelled, run.CodeCancelled
		}
		end.fail(result, f.State, func(res *run.Result) {
			res.Status, res.ExitCode, res.Code, res.Reason, res.Artifacts = f.State, f.ExitCode, f.Code, err.Error(), nil
		})
	}
	return result
}

// maxResult bounds a result, in bytes of JSON: a report has it twice, and is not larger than 16 MiB.
const maxResult = 4 << 20

// checkSize says what is wrong with a result that is too large for a server.
func checkSize(result *run.Result) error {
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if len(data) > maxResult {
		return fmt.Errorf("the outputs are larger than 4MiB, the most that a server takes: the result has %d bytes; write less to $MAYFLY_OUTPUT, or make an artifact", len(data))
	}
	return nil
}

// request returns the run of an assignment.
func (r *Runner) request(ctx context.Context, as *api.Assignment) (*run.Request, error) {
	req := as.Request
	if as.Sealed != nil {
		data, err := r.box.Unseal(ctx, as.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open the attempt's request: %w", err)
		}
		defer clear(data)
		req = &run.Request{}
		if err := json.Unmarshal(data, req); err != nil {
			return nil, fmt.Errorf("read the attempt's request: %w", err)
		}
	}
	if req == nil || len(req.Tools()) == 0 {
		return nil, errors.New("the server sent an attempt without a tool")
	}
	if req.Tests != nil {
		if err := req.Tests.Check(); err != nil {
			return nil, fmt.Errorf("the server sent wrong tests: %w", err)
		}
	}
	for _, t := range req.Tools() {
		t.Source.Dir = "" // a folder of another machine
	}
	// What is left of the attempt before, whose runner was killed, may still be on this machine.
	if req.ID = as.Run; as.Attempt > 1 {
		req.ID = fmt.Sprintf("%s-a%d", as.Run, as.Attempt)
	}
	return req, nil
}

// policyOf returns the policy of an attempt's project, or nil.
func policyOf(as *api.Assignment) (*policy.Policy, error) {
	if as.Policy == nil {
		return nil, nil //nolint:nilnil // a nil Policy is a valid one
	}
	p, err := policy.Parse("the project "+as.Project, "policy.yaml", []byte(as.Policy.Text))
	if err != nil {
		return nil, fmt.Errorf("the policy of the project %s: %w", as.Project, err)
	}
	return p, nil
}

// failed is the result of an attempt that could not be begun.
func failed(ctx context.Context, id string, err error, emit func(run.Event)) *run.Result {
	now := time.Now().UTC()
	f := failure.Of(err)
	res := &run.Result{
		Status: f.State, ExitCode: f.ExitCode, Code: f.Code, Reason: err.Error(), Outputs: map[string]string{},
		Timeline: run.Timeline{Queued: now, Finished: now},
	}
	if ctx.Err() != nil {
		res.Status, res.ExitCode, res.Code, res.Reason = run.Cancelled, run.ExitCancelled, run.CodeCancelled, "cancelled before the tool started"
	}
	events := run.NewSequence(id, emit)
	events.Emit(run.Event{State: &run.StateChange{State: res.Status}})
	events.Emit(run.Event{Result: res})
	return res
}

// sweepEvery is how often a runner looks for what another one has left: a sandbox of a runner that was killed may take a moment
// to end.
const sweepEvery = 30 * time.Second

func (r *Runner) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := r.o.Sweep(); err != nil {
			r.o.Log.Warn("remove what is left of earlier runs", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat says again and again which attempts the runner works on.
func (r *Runner) beat(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// One that isn't answered is given up for the next one, which may get another connection: the lease is longer than two of them.
		asking, cancel := context.WithTimeout(ctx, every)
		err := r.heartbeat(asking)
		cancel()
		if err != nil && ctx.Err() == nil {
			r.o.Log.Warn("heartbeat", "error", err)
		}
	}
}

// heartbeat says once which attempts the runner works on.
func (r *Runner) heartbeat(ctx context.Context) error {
	r.beating.Lock()
	defer r.beating.Unlock()
	pulse, err := r.o.Server.Heartbeat(ctx, &api.Heartbeat{Hello: *r.hello()})
	if err != nil {
		return err
	}
	for _, h := range pulse.Lost {
		r.end(h, errDropped)
	}
	for _, h := range pulse.Cancel {
		r.end(h, errAsked)
	}
	if pulse.Drain {
		_ = r.take(ctx, api.Message{Drain: true}) // never fails
	}
	return nil
}
