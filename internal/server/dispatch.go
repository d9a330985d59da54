package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// dispatcher hands runs to the runners that are connected to this server.
//
// A new run goes to a runner with room in the same commit that accepts it, unless others wait that this runner could take. All
// other runs are claimed by the runner's own line when it has room: after a result, a new run, or a look at what other servers have
// written.
type dispatcher struct {
	s *Server

	mu     sync.Mutex
	lines  map[string]*line // by the runner's name in the store
	closed bool
}

func newDispatcher(s *Server) *dispatcher { return &dispatcher{s: s, lines: map[string]*line{}} }

// line is a connected runner.
type line struct {
	runner   string
	pool     string
	key      string // secrets are sealed for it
	labels   []string
	slots    int
	messages chan api.Message // those that send couldn't wait for
	ready    chan struct{}    // it may have room, and there may be runs for it
	gone     chan struct{}    // closed when it is replaced or disconnected

	// The dispatcher's mu guards these.
	holds map[store.Hold]bool
	asked int  // runs that are being accepted or claimed for it
	none  bool // nothing that waits is for it, as far as this server knows
	drain bool
}

// room is how many more attempts it can take.
func (l *line) room() int {
	if l.drain {
		return 0
	}
	return l.slots - len(l.holds) - l.asked
}

func (l *line) has(needs []string) bool {
	return !slices.ContainsFunc(needs, func(n string) bool { return !slices.Contains(l.labels, n) })
}

// shownRunner is a runner's name for people: without its instance.
func shownRunner(runner string) string {
	name, _, _ := strings.Cut(runner, "@")
	_, name, _ = strings.Cut(name, "/")
	return name
}

// connect adds a runner. The connection that it had before was ended by replaced.
func (d *dispatcher) connect(runner, pool string, h *api.Hello) (*line, error) {
	l := &line{
		runner: runner, pool: pool, key: h.Key, labels: h.Labels, slots: h.Slots, messages: make(chan api.Message, 2*h.Slots+16),
		ready: make(chan struct{}, 1), gone: make(chan struct{}), holds: map[store.Hold]bool{},
	}
	for _, hold := range h.Holds {
		l.holds[store.Hold{Run: hold.Run, Attempt: hold.Attempt}] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("the server is ending")
	}
	d.lines[runner] = l
	l.wake()
	return l, nil
}

// replaced ends the connection that a runner had before, if any.
func (d *dispatcher) replaced(runner string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.lines[runner]; old != nil {
		delete(d.lines, runner)
		close(old.gone)
	}
}

func (d *dispatcher) disconnect(l *line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lines[l.runner] == l {
		delete(d.lines, l.runner)
		close(l.gone)
	}
}

func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for name, l := range d.lines {
		delete(d.lines, name)
		close(l.gone)
	}
}

// wake has the line look for runs.
func (l *line) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// send gives a message to the runner. A runner that doesn't read them is disconnected: it comes back and says what it holds.
func (d *dispatcher) send(l *line, m api.Message) {
	select {
	case l.messages <- m:
	default:
		d.disconnect(l)
	}
}

// tell gives a message to a runner, if it is connected to this server.
func (d *dispatcher) tell(runner string, m api.Message) {
	d.mu.Lock()
	l := d.lines[runner]
	d.mu.Unlock()
	if l != nil {
		d.send(l, m)
	}
}

// drain has a runner take nothing new.
func (d *dispatcher) drain(runner string) {
	d.mu.Lock()
	l := d.lines[runner]
	if l != nil {
		l.drain = true
	}
	d.mu.Unlock()
	if l != nil {
		d.send(l, api.Message{Drain: true})
	}
}

// accept makes a run durable, and gives it to a runner if one has room for it. It returns that runner.
func (d *dispatcher) accept(ctx context.Context, n store.NewRun, req *run.Request) (string, error) {
	l := d.reserve(&n)
	if l == nil {
		if err := d.s.store.Accept(ctx, n, nil); err != nil {
			return "", err
		}
		d.waiting(n.Pool, n.Needs)
		return "", nil
	}
	err := d.s.store.Accept(ctx, n, &store.Lessee{Runner: l.runner, Lease: d.s.lease})
	d.mu.Lock()
	l.asked--
	if err == nil {
		l.holds[store.Hold{Run: n.ID, Attempt: 1}] = true
	}
	d.mu.Unlock()
	if err != nil {
		return "", err
	}
	d.assign(ctx, l, &api.Assignment{Holding: api.Holding{Run: n.ID, Attempt: 1}, Project: n.Project, Tool: knownAs(n.Tool, n.Version), Request: req})
	return l.runner, nil // if it has gone meanwhile, the run waits for another
}

// assign gives a runner an attempt that it holds, with the secrets of its tool. If they can't be opened, the attempt has a
// problem that the runner reports as its result.
func (d *dispatcher) assign(ctx context.Context, l *line, as *api.Assignment) {
	ctx = context.WithoutCancel(ctx) // the attempt is the runner's already
	err := d.s.assignPolicy(ctx, as)
	if err != nil {
		d.s.log.Error("read the project's policy", "run", as.Run, "error", err)
		as.Problem = "the server can't read the project's policy; its log has the reason"
	} else if as.Secrets, err = d.s.sealFor(ctx, l, as); err != nil {
		d.s.log.Error("open secrets", "run", as.Run, "error", err)
		as.Problem = "the server can't open the tool's secrets; its log has the reason"
	}
	d.send(l, api.Message{Assign: as})
	d.mu.Lock()
	gone := d.lines[l.runner] != l
	d.mu.Unlock()
	if gone {
		// When it connected again, it could not know of this attempt, and nobody may have read its messages since.
		if err := d.s.store.Release(ctx, l.runner, store.Hold{Run: as.Run, Attempt: as.Attempt}); err != nil {
			d.s.log.Error("release an attempt of a runner that is gone", "run", as.Run, "error", err) // its lease will run out
		}
		d.waiting(l.pool, nil)
	}
}

// reserve finds the runner with the most room for a run that no other one waits for.
func (d *dispatcher) reserve(n *store.NewRun) *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	var best *line
	for _, l := range d.lines {
		if l.pool == n.Pool && l.none && l.room() > 0 && l.has(n.Needs) && (best == nil || l.room() > best.room()) {
			best = l
		}
	}
	if best != nil {
		best.asked++
	}
	return best
}

// waiting says that a run waits that needs these labels.
func (d *dispatcher) waiting(pool string, needs []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l.pool == pool && l.has(needs) {
			l.none = false
			l.wake()
		}
	}
}

// ended says that a runner holds an attempt no longer.
func (d *dispatcher) ended(runner string, h store.Hold) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lines[runner]; l != nil && l.holds[h] {
		delete(l.holds, h)
		if !l.none {
			l.wake()
		}
	}
}

// feed claims runs for a runner until it is gone.
func (d *dispatcher) feed(ctx context.Context, l *line) {
	for {
		select {
		case <-l.ready:
		case <-l.gone:
			return
		case <-ctx.Done():
			return
		}
		if err := d.claim(ctx, l); err != nil && ctx.Err() == nil {
			d.s.log.Error("claim runs", "runner", l.runner, "error", err)
		}
	}
}

// claim fills a runner's room.
func (d *dispatcher) claim(ctx context.Context, l *line) error {
	d.mu.Lock()
	want := l.room()
	if want <= 0 {
		d.mu.Unlock()
		return nil
	}
	l.asked += want
	l.none = true // a run that comes from now on says otherwise
	d.mu.Unlock()
	got, err := d.s.store.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: l.runner, Lease: d.s.lease}, Pool: l.pool, Labels: l.labels, Most: want})
	d.mu.Lock()
	l.asked -= want
	if len(got) == want || err != nil {
		l.none = false
	}
	for _, c := range got {
		l.holds[store.Hold{Run: c.Run, Attempt: c.Attempt}] = true
	}
	d.mu.Unlock()
	for _, c := range got {
		var req run.Request
		if err := json.Unmarshal(c.Request, &req); err != nil {
			return fmt.Errorf("read run %s: %w", c.Run, err)
		}
		d.assign(ctx, l, &api.Assignment{Holding: api.Holding{Run: c.Run, Attempt: c.Attempt}, Project: c.Project, Tool: knownAs(c.Tool, c.Version), Request: &req})
	}
	return err
}
