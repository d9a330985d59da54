package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/store"
)

// RunnerName is the part of an address that names a runner. The instance tells a runner's process from an earlier one with its
// name, and nobody else knows it.
type RunnerName struct {
	Name     string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$"`
	Instance string `path:"instance" pattern:"^[A-Za-z0-9]{20,64}$"`
}

// holder is how the store knows a runner: by what its token says, so that it can write to no attempt of another pool.
func holder(pool, name, instance string) string { return pool + "/" + name + "@" + instance }

func (s *Server) registerRunners() {
	at := "/runner/{name}/{instance}"
	huma.Register(s.api, operation("runner-messages", http.MethodPost, at+"/messages", RoleRunner, "Connect a runner: a stream of messages, one JSON object a line"), s.messages)
	report := operation("runner-report", http.MethodPost, at+"/reports", RoleRunner, "Report events and the result of an attempt")
	huma.Register(s.api, unaudited(report), s.reports)
	huma.Register(s.api, unaudited(operation("runner-heartbeat", http.MethodPost, at+"/heartbeat", RoleRunner, "Keep attempts")), s.heartbeat)
	huma.Register(s.api, operation("list-runners", http.MethodGet, "/runners", RoleViewer, "List the runners"), s.listRunners)
	huma.Register(s.api, operation("drain-runner", http.MethodPost, "/runners/{name}/drain", RoleAdmin, "Have a runner take nothing new, and end when it is idle"), s.drainRunner)
	huma.Register(s.api, operation("runner-content", http.MethodGet, at+"/contents/{digest}", RoleRunner, "Get a content"), s.getContent)
	huma.Register(s.api, operation("runner-put-content", http.MethodPut, at+"/contents/{digest}", RoleRunner, "Send an artifact of an attempt"), s.putArtifact)
}

// maxReport bounds a report, and the lines of its events. A runner sends smaller ones.
const maxReport = 16 << 20

// usualReport is the size that nearly all reports are below.
const usualReport = 2 << 20

// maxMessage bounds what a runner sends besides reports and artifacts.
const maxMessage = 1 << 20

// readBody reads the body of a runner's request.
func (s *Server) readBody(r *http.Request, w http.ResponseWriter, most int64) ([]byte, error) {
	body := s.body(w, r, most)
	const room = 1 << 19 // what most reports need; of larger ones, it grows with what comes
	data := bytes.NewBuffer(make([]byte, 0, min(room, max(0, r.ContentLength))+bytes.MinRead))
	if _, err := data.ReadFrom(body); err != nil {
		if body.broken() {
			return nil, cutShort(err)
		}
		return nil, badReport(err)
	}
	return data.Bytes(), nil
}

// readJSON reads a request of a runner, in JSON. It isn't checked against a schema: fields of a newer runner are ignored, and
// what is wrong with events only harms the run itself.
func (s *Server) readJSON(r *http.Request, w http.ResponseWriter, into any) error {
	data, err := s.readBody(r, w, maxMessage)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return badReport(err)
	}
	return nil
}

// cutShort is the answer to a request of which a part is missing.
func cutShort(err error) error {
	return problem(http.StatusServiceUnavailable, run.CodeInvalidRequest, fmt.Sprintf("read the request: %v", err), "send it again")
}

// answer answers a request of a runner.
func (s *Server) answer(do func(ctx context.Context, r *http.Request, w http.ResponseWriter) (any, error), what string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		out, err := do(c.Context(), r, w)
		if err != nil {
			s.refuse(c, asProblem(s.explain(err, what)))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(out); err != nil {
			s.log.Debug("answer a runner", "error", err) // it asks again
		}
	}}
}

func (s *Server) messages(ctx context.Context, in *RunnerName) (*huma.StreamResponse, error) {
	pool := who(ctx).Pool
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		var h api.Hello
		err := s.readJSON(r, w, &h)
		if err == nil {
			h.Name = in.Name
			err = s.Messages(c.Context(), pool, in.Instance, &h, sender(w))
		}
		if err != nil && r.Context().Err() == nil {
			s.refuse(c, asProblem(s.explain(err, "runner "+in.Name))) // too late if a message was sent; the stream just ends then
		}
	}}, nil
}

// sender returns a function that writes messages, each at once.
func sender(w http.ResponseWriter) func(api.Message) error {
	out, enc, first := http.NewResponseController(w), json.NewEncoder(w), true
	return func(m api.Message) error {
		if first {
			w.Header().Set("Content-Type", api.ReportLines)
			w.Header().Set("X-Accel-Buffering", "no")
			first = false
		}
		if err := enc.Encode(m); err != nil {
			return err
		}
		return out.Flush()
	}
}

// Messages connects a runner, and passes it messages until it is gone, replaced by another connection, or the server ends.
func (s *Server) Messages(ctx context.Context, pool, instance string, h *api.Hello, send func(api.Message) error) error {
	switch {
	case h.Protocol < api.Protocol-1 || h.Protocol > api.Protocol+1:
		return problem(http.StatusConflict, run.CodeRunnerVersion,
			fmt.Sprintf("the runner speaks version %d of the protocol (mayfly %s), and this server version %d", h.Protocol, h.Version, api.Protocol),
			"install adjacent versions of server and runner")
	}
	if err := wrongHello(h); err != nil {
		return err
	}
	subject(ctx, "runners/"+h.Name, "pool", pool, "version", h.Version)
	if err := s.reclaim(ctx, holder(pool, h.Name, instance), h); err != nil {
		return err
	}
	holds, err := s.store.Held(ctx, holder(pool, h.Name, instance))
	if err != nil {
		return err
	}
	l, err := s.pool.connect(holder(pool, h.Name, instance), pool, h, holds)
	if err != nil {
		return problem(http.StatusServiceUnavailable, run.CodeError, err.Error(), "connect again")
	}
	defer s.pool.leave(ctx, l)
	if err := s.saw(ctx, l, h); err != nil {
		return err
	}
	s.log.Info("runner connected", "runner", h.Name, "pool", pool, "slots", h.Slots, "version", h.Version)
	defer s.log.Info("runner disconnected", "runner", h.Name, "pool", pool)
	session := &api.Session{Lines: true, HeartbeatSeconds: max(1, int(s.lease/3/time.Second)), LeaseSeconds: max(1, int(s.lease/time.Second))}
	if err := send(api.Message{Session: session}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup // not s.work, which may be waited for already
	feeding.Go(func() { s.pool.feed(ctx, l) })
	defer func() {
		s.pool.disconnect(l) // it is given nothing while its last claim is waited for
		cancel()
		feeding.Wait()
	}()
	check := s.checkToken()
	alive := time.NewTicker(s.keepAlive)
	defer alive.Stop()
	for {
		if check.ended(ctx) {
			return nil
		}
		m := api.Message{Alive: true}
		select {
		case m = <-l.messages:
		case <-alive.C:
		case <-l.gone:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if m.Assign != nil && l.isGone() {
			s.pool.giveBack(ctx, l, m.Assign)
			return nil
		}
		if err := send(m); err != nil {
			return err
		}
	}
}

func (s *Server) heartbeat(ctx context.Context, in *RunnerName) (*huma.StreamResponse, error) {
	pool := who(ctx).Pool
	return s.answer(func(ctx context.Context, r *http.Request, w http.ResponseWriter) (any, error) {
		var h api.Heartbeat
		if err := s.readJSON(r, w, &h); err != nil {
			return nil, err
		}
		return s.Heartbeat(ctx, holder(pool, in.Name, in.Instance), &h)
	}, "the runner "+in.Name), nil
}

// mostHolds bounds the attempts of a runner: it has no more slots.
const mostHolds = 10_000

// These bound what a runner says of itself: others read it.
const (
	mostVersion = 64 // bytes
	mostLabels  = 50
	mostLabel   = 253 // bytes
)

// wrongHello says what is wrong with what a runner says of itself.
func wrongHello(h *api.Hello) error {
	wrong, remedy := "", "start the runner with fewer or shorter --label"
	switch {
	case h.Slots < 1 || h.Slots > mostHolds:
		wrong, remedy = fmt.Sprintf("%d slots are not between 1 and %d", h.Slots, mostHolds), fmt.Sprintf("start the runner with --slots from 1 to %d", mostHolds)
	case len(h.Holds) > mostHolds:
		wrong, remedy = fmt.Sprintf("the runner holds %d attempts; the most is %d", len(h.Holds), mostHolds), "update the runner"
	case len(h.Kept) > mostKept || slices.ContainsFunc(h.Kept, func(k api.KeptRun) bool { return len(k.Run) > mostVersion }):
		wrong, remedy = fmt.Sprintf("the runner keeps %d sandboxes; the most is %d", len(h.Kept), mostKept), fmt.Sprintf("start the runner with --keep-sandboxes from 0 to %d", mostKept)
	case len(h.Version) > mostVersion:
		wrong, remedy = fmt.Sprintf("the runner's version has %d bytes; the most is %d", len(h.Version), mostVersion), "update the runner"
	case len(h.Labels) > mostLabels:
		wrong = fmt.Sprintf("the runner has %d labels; the most is %d", len(h.Labels), mostLabels)
	case slices.ContainsFunc(h.Labels, func(l string) bool { return len(l) > mostLabel }):
		wrong = fmt.Sprintf("a label of the runner has more than %d bytes", mostLabel)
	default:
		if err := secret.CheckRecipient(h.Key); err != nil {
			wrong, remedy = fmt.Sprintf("the runner's key: %v", err), "update the runner"
		}
	}
	if wrong == "" {
		return nil
	}
	return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, wrong, remedy)
}

// Heartbeat keeps a runner's attempts.
func (s *Server) Heartbeat(ctx context.Context, runner string, h *api.Heartbeat) (*api.Pulse, error) {
	if err := wrongHello(&h.Hello); err != nil {
		return nil, err
	}
	holds := make([]store.Hold, len(h.Holds))
	for i, one := range h.Holds {
		holds[i] = store.Hold{Run: one.Run, Attempt: one.Attempt}
	}
	s.pool.heard(runner)
	x, err := s.store.Extend(ctx, runner, holds, s.lease)
	if err != nil {
		return nil, err
	}
	if h.Leaving {
		err := s.store.RemoveRunner(ctx, runner)
		s.changedRunners()
		return &api.Pulse{}, err
	}
	drain, err := s.store.SawRunner(ctx, rowOf(runner, h.Hello))
	if err != nil {
		return nil, err
	}
	for _, one := range x.Lost {
		s.pool.ended(runner, one)
	}
	// A runner that is connected here hears it after the attempts that are on their way to it.
	drain = drain && !s.pool.drain(runner)
	return &api.Pulse{Lost: holdings(x.Lost), Cancel: holdings(x.Cancel), Drain: drain}, nil
}

// reclaim takes the attempts from a runner that it doesn't hold: they never reached it, or it was started again. No new ones are
// given to it meanwhile.
func (s *Server) reclaim(ctx context.Context, holder string, h *api.Hello) error {
	s.pool.replaced(holder)
	holds := make([]store.Hold, len(h.Holds))
	for i, one := range h.Holds {
		holds[i] = store.Hold{Run: one.Run, Attempt: one.Attempt}
	}
	ends := ending{how: s.restarted}
	waiting, over, err := s.store.Reclaim(ctx, holder, holds, ends.of)
	s.lose(over, &ends, "attempt lost: its runner was started again", "runner", h.Name)
	if len(waiting)+len(over) > 0 {
		s.pool.waitingAgain()
	}
	return err
}

// ending makes the ends of attempts in their runners' place, and remembers which of them were cancelled before they began: those aren't lost.
type ending struct {
	how       func(store.Claimed) (store.Ended, error)
	cancelled map[string]bool
}

func (e *ending) of(c store.Claimed) (store.Ended, error) {
	end, err := e.how(c)
	if end.Status == run.Cancelled {
		if e.cancelled == nil {
			e.cancelled = map[string]bool{}
		}
		e.cancelled[c.Run] = true
	}
	return end, err
}

// lose tells those who wait for runs that have ended in their runners' place, and counts what was lost.
func (s *Server) lose(runs []string, ends *ending, why string, args ...any) {
	for _, id := range runs {
		if !ends.cancelled[id] {
			s.metrics.lost.Inc()
			s.log.Warn(why, append([]any{"run", id}, args...)...)
		}
		s.live.wake(id)
		s.flows.poke()
	}
}

// restarted is how a run ends whose runner has forgotten it.
func (s *Server) restarted(c store.Claimed) (store.Ended, error) {
	return s.lostResult(c, fmt.Sprintf("the runner %s was started again while it had the run", shownRunner(c.Runner)))
}

// rowOf is a runner as the store knows it.
func rowOf(holder string, h api.Hello) store.Runner {
	pool, _, _ := strings.Cut(holder, "/")
	return store.Runner{Holder: holder, Pool: pool, Name: shownRunner(holder), Version: h.Version, Labels: labelsOf(&h), Slots: h.Slots, Capacity: sizeOf(h.Capacity), Kept: keptOf(h.Kept)}
}

// saw keeps that a runner is there. One that is to drain is told so, and gets nothing.
func (s *Server) saw(ctx context.Context, l *line, h *api.Hello) error {
	drain, err := s.store.AddRunner(ctx, rowOf(l.runner, *h))
	s.changedRunners()
	if err == nil && drain {
		s.pool.drain(l.runner)
	}
	return err
}

// listed is for how long a runner that is away is still listed.
const listed = 24 * time.Hour

func (s *Server) listRunners(ctx context.Context, _ *struct{}) (*body[[]api.Runner], error) {
	return s.runnersFor(ctx, "")
}

func (s *Server) runnerOf(r store.Runner) api.Runner {
	return api.Runner{
		Name: r.Name, Pool: r.Pool, Labels: withoutOwn(r.Labels), Version: r.Version, Slots: r.Slots, Busy: r.Busy, Capacity: capacityOf(r.Capacity), State: s.stateOf(r), LastSeen: time.Now().UTC().Add(-r.Silent).Truncate(time.Millisecond),
	}
}

// These are the states of a runner.
const (
	runnerReady    = "ready"
	runnerDraining = "draining" // it takes nothing new
	runnerAway     = "away"     // it was silent for longer than its lease
)

func (s *Server) stateOf(r store.Runner) string {
	switch {
	case r.Silent > s.lease:
		return runnerAway
	case r.Drain:
		return runnerDraining
	}
	return runnerReady
}

func (s *Server) drainRunner(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"253"`
},
) (*struct{}, error) {
	subject(ctx, "runners/"+in.Name)
	holders, err := s.store.DrainRunner(ctx, in.Name)
	s.changedRunners()
	for _, h := range holders {
		s.pool.drain(h) // one on another server hears it with its next heartbeat
	}
	return nil, s.explain(err, "runner "+in.Name)
}

func holdings(all []store.Hold) []api.Holding {
	var out []api.Holding
	for _, h := range all {
		out = append(out, api.Holding{Run: h.Run, Attempt: h.Attempt})
	}
	return out
}

// Content returns a content for a runner in this process.
func (s *Server) Content(ctx context.Context, digest string) (io.ReadCloser, error) {
	content, _, err := s.archive.Open(ctx, digest)
	if errors.Is(err, fs.ErrNotExist) {
		err = store.ErrNotFound
	}
	return content, s.explain(err, "content "+digest)
}

// expire ends attempts whose runners were silent for too long, until the server ends.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ends := ending{how: s.lost}
		ids, err := s.store.Expire(ctx, 100, ends.of)
		if err != nil && ctx.Err() == nil {
			s.log.Error("end lost attempts", "error", err)
		}
		s.lose(ids, &ends, "attempt lost: its runner was silent for longer than its lease")
		if len(ids) > 0 {
			s.pool.waitingAgain()
		}
	}
}

// lost is how a run ends whose runner is lost.
func (s *Server) lost(c store.Claimed) (store.Ended, error) {
	return s.lostResult(c, fmt.Sprintf("the runner %s was silent for longer than its lease of %s", shownRunner(c.Runner), s.lease))
}
