package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

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
	capacity store.Size
	messages chan api.Message // those that send couldn't wait for
	ready    chan struct{}    // it may have room, and there may be runs for it
	gone     chan struct{}    // closed when it is replaced or disconnected

	// The dispatcher's mu guards these.
	holds map[store.Hold]held
	taken store.Size // by what it holds, and by runs that are being accepted for it
	asked int        // runs that are being accepted or claimed for it
	owed  int        // attempts that it holds and that aren't in messages yet
	none  bool       // nothing that waits is for it, as far as this server knows
	drain bool
	told  bool          // that it drains
	heard time.Time     // the last sign of life
	quiet time.Duration // after so long without one, it gets nothing
}

// held is an attempt that a runner holds.
type held struct {
	size    store.Size
	limited bool // others may wait for its end
	step    bool // of a workflow, as far as this server knows
}

// free is what is left of its machine.
func (l *line) free() store.Size { return l.capacity.Minus(l.taken) }

// heard says that a runner has given a sign of life. One that was silent for so long that it got nothing is given runs again.
func (d *dispatcher) heard(runner string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[runner]
	if l == nil {
		return
	}
	if time.Since(l.heard) > l.quiet {
		l.none = false
		l.wake()
	}
	l.heard = time.Now()
}

// room is how many more attempts it can take.
func (l *line) room() int {
	if l.drain || time.Since(l.heard) > l.quiet {
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

// connect adds a runner, which holds these attempts. The connection that it had before was ended by replaced, except one that
// was made at the same time: it ends here.
func (d *dispatcher) connect(runner, pool string, h *api.Hello, holds map[store.Hold]store.Claimed) (*line, error) {
	l := &line{
		runner: runner, pool: pool, key: h.Key, labels: labelsOf(h), slots: h.Slots, capacity: sizeOf(h.Capacity), messages: make(chan api.Message, 2*h.Slots+16),
		heard: time.Now(), quiet: d.s.lease * 2 / 3, ready: make(chan struct{}, 1), gone: make(chan struct{}), holds: map[store.Hold]held{},
	}
	for _, hold := range h.Holds {
		at := store.Hold{Run: hold.Run, Attempt: hold.Attempt}
		l.hold(at, held{holds[at].Size, holds[at].Limited, true})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("the server is ending")
	}
	if old := d.lines[runner]; old != nil {
		close(old.gone)
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

// isGone reports whether the line takes and sends nothing any longer.
func (l *line) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// wake has the line look for runs.
func (l *line) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// send gives a message to the runner, and reports whether the line could take it. A runner that doesn't read them is disconnected:
// it comes back and says what it holds. The caller holds d.mu, under which a line becomes one that takes nothing.
func (d *dispatcher) send(l *line, m api.Message) bool {
	if d.lines[l.runner] != l {
		return false
	}
	select {
	case l.messages <- m:
		return true
	default:
		delete(d.lines, l.runner)
		close(l.gone)
		return false
	}
}

// tell gives a message to a runner, if it is connected to this server, and reports whether it is.
func (d *dispatcher) tell(runner string, m api.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[runner]
	return l != nil && d.send(l, m)
}

// drain has a runner take nothing new. It reports whether the runner is connected to this server, and hears it that way.
func (d *dispatcher) drain(runner string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[runner]
	if l == nil {
		return false
	}
	l.drain = true
	d.tellDrain(l)
	return true
}

// tellDrain tells a runner that it drains, once, when nothing is on its way to it: a runner that holds nothing ends then. The caller
// holds d.mu.
func (d *dispatcher) tellDrain(l *line) {
	if l.drain && !l.told && l.asked == 0 && l.owed == 0 {
		l.told = d.send(l, api.Message{Drain: true})
	}
}

// accept makes a run durable, and gives it to a runner if one has room for it. Before, it calls chosen with that runner, or with "".
func (d *dispatcher) accept(ctx context.Context, n store.NewRun, req *run.Request, secret bool, chosen func(runner string) error) error {
	l := d.reserve(&n)
	if l == nil {
		err := chosen("")
		if err == nil {
			err = d.s.store.Accept(ctx, n, nil)
		}
		if err == nil {
			d.waiting(n.Pool, n.Needs)
		}
		return err
	}
	err := chosen(l.runner)
	if err == nil {
		err = d.s.store.Accept(ctx, n, &store.Lessee{Runner: l.runner, Lease: d.s.lease})
	}
	d.placed(ctx, l, n, req, secret, err)
	return err // if it has gone meanwhile, the run waits for another
}

// placed hands a run to the runner for which reserve kept room, after the commit that made it the runner's, or its error.
func (d *dispatcher) placed(ctx context.Context, l *line, n store.NewRun, req *run.Request, secret bool, err error) {
	d.mu.Lock()
	l.asked--
	l.taken = l.taken.Minus(n.Size)
	if err == nil {
		l.hold(store.Hold{Run: n.ID, Attempt: 1}, held{size: n.Size, step: n.Parent.Run != ""})
		l.owed++
	}
	d.tellDrain(l)
	d.mu.Unlock()
	if err != nil {
		d.reconnect(l, err)
		return
	}
	d.assign(ctx, l, &api.Assignment{
		Holding: api.Holding{Run: n.ID, Attempt: 1}, Project: n.Project, Tool: knownAs(n.Tool, n.Version), Request: req,
		Traceparent: d.s.traces.Parent(n.ID, n.Parent.Run),
	}, secret, n.Secrets)
}

// assign gives a runner an attempt that it holds, with the secrets of its tool, of which some may be given; secret says that the request may
// have one, too. If they can't be sealed for the runner, the attempt has a problem that the runner reports as its result.
func (d *dispatcher) assign(ctx context.Context, l *line, as *api.Assignment, secret bool, given []byte) {
	ctx = context.WithoutCancel(ctx) // the attempt is the runner's already
	err := d.s.assignPolicy(ctx, as)
	if err != nil {
		d.s.log.Error("read the project's policy", "run", as.Run, "error", err)
		as.Problem = "the server can't read the project's policy; its log has the reason"
	} else if as.Secrets, err = d.s.sealFor(ctx, l, as, given); err == nil {
		err = d.s.sealRequest(ctx, l.key, as, secret)
	}
	if err != nil && as.Problem == "" {
		d.s.log.Error("seal secrets for a runner", "run", as.Run, "error", err)
		as.Problem = "the server can't open the tool's secrets; its log has the reason"
		var no *notAllowedError
		if errors.As(err, &no) {
			as.Problem = no.Error()
		}
	}
	if as.Problem != "" { // what isn't sealed isn't sent
		as.Request, as.Sealed, as.Secrets = nil, nil, nil
	}
	d.hand(ctx, l, as)
}

// hand puts an attempt into the line of its runner. One that the line can't take waits again.
func (d *dispatcher) hand(ctx context.Context, l *line, as *api.Assignment) {
	d.mu.Lock()
	l.owed--
	sent := d.send(l, api.Message{Assign: as})
	d.tellDrain(l)
	d.mu.Unlock()
	if !sent {
		d.giveBack(ctx, l, as)
	}
}

// giveBack has an attempt wait again that was never sent to its runner.
func (d *dispatcher) giveBack(ctx context.Context, l *line, as *api.Assignment) {
	over, err := d.s.store.Release(context.WithoutCancel(ctx), l.runner, store.Hold{Run: as.Run, Attempt: as.Attempt}, d.s.restarted)
	if err != nil {
		d.s.log.Error("release an attempt of a runner that is gone", "run", as.Run, "error", err) // its lease will run out
	}
	if over { // its end was asked for
		d.s.live.wake(as.Run)
		d.s.flows.poke()
	}
	d.waiting(l.pool, nil)
}

// leave ends a connection, and gives back what was still to be sent: nothing comes into messages any longer.
func (d *dispatcher) leave(ctx context.Context, l *line) {
	d.disconnect(l)
	for {
		select {
		case m := <-l.messages:
			if m.Assign != nil {
				d.giveBack(ctx, l, m.Assign)
			}
		default:
			return
		}
	}
}

// reserve finds the runner with the most room for a run that no other one waits for.
func (d *dispatcher) reserve(n *store.NewRun) *line {
	if len(n.Limits) > 0 {
		return nil // they are compared when it is claimed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var best *line
	for _, l := range d.lines {
		if l.pool == n.Pool && l.none && l.room() > 0 && l.has(n.Needs) && n.Size.FitsIn(l.free()) && (best == nil || l.room() > best.room()) {
			best = l
		}
	}
	if best != nil {
		best.asked++
		best.taken = best.taken.Plus(n.Size)
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

// ended says that a runner holds an attempt no longer. It reports whether that may have been a step of a workflow.
func (d *dispatcher) ended(runner string, h store.Hold) (step bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[runner]
	if l == nil {
		return true
	}
	was, there := l.holds[h]
	if !there {
		return true
	}
	delete(l.holds, h)
	l.taken = l.taken.Minus(was.size)
	// Others may wait for the limits or the size of what has ended. If they are only for other runners, the next look finds them.
	if l.none = l.none && !was.limited && was.size == (store.Size{}); !l.none {
		l.wake()
	}
	return was.step
}

// maybeStep reports whether an attempt of a runner may be of a step of a workflow.
func (d *dispatcher) maybeStep(runner string, h store.Hold) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[runner]
	if l == nil {
		return true
	}
	was, there := l.holds[h]
	return !there || was.step
}

// hold adds an attempt. The caller holds the dispatcher's mu, or has the only reference.
func (l *line) hold(h store.Hold, as held) {
	l.holds[h] = as
	l.taken = l.taken.Plus(as.size)
}

// wakeAll has all lines look for runs. The caller holds d.mu.
func (d *dispatcher) wakeAll() {
	for _, l := range d.lines {
		l.none = false
		l.wake()
	}
}

// waitingAgain says that runs wait that runners have lost.
func (d *dispatcher) waitingAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeAll()
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

// mostClaimed bounds a claim: a run is handed out after the secrets of those before it are sealed, and its lease runs meanwhile.
const mostClaimed = 32

// claim fills a runner's room.
func (d *dispatcher) claim(ctx context.Context, l *line) error {
	d.mu.Lock()
	want := l.room()
	if want <= 0 {
		d.mu.Unlock()
		return nil
	}
	want = min(want, mostClaimed)
	l.asked += want
	l.none = true // a run that comes from now on says otherwise
	free := l.free()
	d.mu.Unlock()
	got, err := d.s.store.Claim(ctx, store.Claim{Lessee: store.Lessee{Runner: l.runner, Lease: d.s.lease}, Pool: l.pool, Labels: l.labels, Free: free, Most: want})
	d.mu.Lock()
	l.asked -= want
	if len(got) == want || err != nil {
		l.none = false
	}
	if len(got) == want {
		l.wake() // for the rest
	}
	for _, c := range got {
		l.hold(store.Hold{Run: c.Run, Attempt: c.Attempt}, held{c.Size, c.Limited, true}) // a step or not: the request says so
	}
	l.owed += len(got)
	d.tellDrain(l)
	d.mu.Unlock()
	for _, c := range got {
		d.assignClaimed(ctx, l, c)
	}
	d.reconnect(l, err)
	return err
}

// reconnect has a runner connect again after a commit whose answer is missing. It may have been given runs that nobody hands to it: they
// are reclaimed then.
func (d *dispatcher) reconnect(l *line, err error) {
	if errors.Is(err, store.ErrUnsure) {
		d.disconnect(l)
	}
}

// assignClaimed gives a runner an attempt that was claimed for it.
func (d *dispatcher) assignClaimed(ctx context.Context, l *line, c store.Claimed) {
	ctx = context.WithoutCancel(ctx) // the attempt is the runner's already
	as := &api.Assignment{
		Holding: api.Holding{Run: c.Run, Attempt: c.Attempt}, Project: c.Project, Tool: knownAs(c.Tool, c.Version),
		Traceparent: d.s.traces.Parent(c.Run, c.Parent),
	}
	kept, secret, err := d.s.openRequest(ctx, c.Request)
	if err != nil {
		d.s.log.Error("read the request of a run", "run", c.Run, "error", err)
		as.Problem = "the server can't read the run's request; its log has the reason"
		d.hand(ctx, l, as)
		return
	}
	req := kept.Request
	d.mu.Lock()
	h := store.Hold{Run: c.Run, Attempt: c.Attempt}
	if as, ok := l.holds[h]; ok {
		as.step = req.Step != ""
		l.holds[h] = as
	}
	d.mu.Unlock()
	if req.Tool != nil && req.Tool.Retry != nil && c.Attempt > 1 {
		r := req.Tool.Retry
		r.Attempts = min(r.Attempts, c.Retries+1) // those that were lost count
	}
	as.Request = req
	d.assign(ctx, l, as, secret, c.Secrets)
}
