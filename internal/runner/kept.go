package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
)

// Keep says which sandboxes of failed tools a runner keeps. The zero Keep keeps none.
type Keep struct {
	Engine engine.Keeper
	// Most is how many it keeps at once. When there are more, the oldest that nobody uses goes.
	Most int
	// For is for how long it keeps each.
	For time.Duration
	// Dir is a folder of this runner's own for the names of what it keeps: what one that was killed has left is removed by the next one.
	Dir string
}

// keeping has the sandboxes that a runner keeps.
type keeping struct {
	Keep
	log *slog.Logger
	// changed tells the server.
	changed func()
	left    []string // what the runner before has kept, or was to keep

	mu   sync.Mutex
	ends bool
	all  map[string]*kept // by run
}

// kept is a sandbox that is kept.
type kept struct {
	run, id      string
	since, until time.Time
	shells       int
	expire       *time.Timer
}

func newKeeping(k Keep, log *slog.Logger, changed func()) (*keeping, error) {
	out := &keeping{Keep: k, log: log, changed: changed, all: map[string]*kept{}}
	if k.Engine == nil {
		return out, nil
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for what is kept: %w", err)
	}
	names, err := os.ReadDir(k.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of what is kept: %w", err)
	}
	for _, one := range names {
		out.left = append(out.left, one.Name())
	}
	return out, nil
}

func (k *keeping) on() bool { return k.Engine != nil && k.Most > 0 && k.For > 0 }

// removeLeft removes what the runner before has left.
func (k *keeping) removeLeft() {
	if len(k.left) == 0 {
		return
	}
	all, err := k.Engine.KeptRuns()
	if err != nil {
		k.log.Warn("remove sandboxes that an earlier runner has kept", "error", err)
		return
	}
	for _, id := range k.left {
		for _, one := range all {
			if one.ID == id || strings.HasPrefix(one.ID, id+"-") { // its attempts by retry
				k.remove(one.ID)
			}
		}
		k.forget(id)
	}
}

// begin says for how long the sandbox of a run is kept that a server asks to keep, and writes down that it may be.
func (k *keeping) begin(id string, asked time.Duration) (time.Duration, error) {
	if asked == 0 {
		return 0, nil
	}
	if !k.on() {
		return 0, errors.New("this runner keeps no sandboxes")
	}
	if err := os.WriteFile(filepath.Join(k.Dir, id), nil, 0o600); err != nil {
		return 0, fmt.Errorf("write down that a sandbox may be kept: %w", err)
	}
	return min(asked, k.For, api.MostKept), nil
}

// forget forgets what begin has written down, for the runner that is started next.
func (k *keeping) forget(id string) {
	if err := os.Remove(filepath.Join(k.Dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("forget a sandbox that was kept", "error", err)
	}
}

// end says how a run has ended for which begin was called. It reports whether the sandbox is still there: if there are too many, one is removed.
func (k *keeping) end(run, begun, id string, during time.Duration) (stays bool) {
	if id == "" {
		k.forget(begun)
		return false
	}
	now := time.Now()
	one := &kept{run: run, id: id, since: now, until: now.Add(during)}
	k.mu.Lock()
	var over *kept
	if k.ends {
		over = one
	} else {
		k.all[run] = one
		one.expire = time.AfterFunc(during, func() { k.drop(one) })
		over = k.tooMany()
	}
	k.mu.Unlock()
	if over != nil {
		k.drop(over)
	}
	k.changed()
	return over != one
}

// tooMany returns the oldest sandbox that nobody uses, if there are more than Most. The caller holds k.mu.
func (k *keeping) tooMany() (oldest *kept) {
	if len(k.all) <= k.Most {
		return nil
	}
	for _, one := range k.all {
		if one.shells == 0 && (oldest == nil || one.since.Before(oldest.since)) {
			oldest = one
		}
	}
	return oldest
}

// drop removes a sandbox, and ends the shell in it. It is listed until it is gone.
func (k *keeping) drop(one *kept) {
	k.remove(one.id)
	k.mu.Lock()
	was := k.all[one.run] == one
	if was {
		delete(k.all, one.run)
		one.expire.Stop()
	}
	k.mu.Unlock()
	if was {
		k.changed()
	}
}

// remove removes the sandbox with an id of the engine's, and what is written down of it.
func (k *keeping) remove(id string) {
	var gone *engine.NotKeptError
	if err := k.Engine.RemoveKept(id); err != nil && !errors.As(err, &gone) {
		k.log.Error("remove a sandbox that was kept; it ends by itself when its time is up", "id", id, "error", err)
	}
	for _, name := range k.names() {
		if name == id || strings.HasPrefix(id, name+"-") {
			k.forget(name)
		}
	}
}

// names are those that are written down.
func (k *keeping) names() (all []string) {
	entries, err := os.ReadDir(k.Dir)
	if err != nil {
		k.log.Warn("read what is kept", "error", err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// removeRun removes the sandbox of a run.
func (k *keeping) removeRun(run string) {
	k.mu.Lock()
	one := k.all[run]
	k.mu.Unlock()
	if one == nil {
		k.changed() // the server hears that there is none
		return
	}
	k.drop(one)
}

// use counts a shell in the sandbox of a run, so that it stays until leave is called or its time is up.
func (k *keeping) use(run string) (id string, leave func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.all[run]
	if one == nil {
		return "", nil, &engine.NotKeptError{ID: run}
	}
	one.shells++
	return one.id, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		one.shells--
	}, nil
}

// list is what the server is told.
func (k *keeping) list() (out []api.KeptRun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.all {
		out = append(out, api.KeptRun{Run: one.run, Until: one.until})
	}
	slices.SortFunc(out, func(a, b api.KeptRun) int { return strings.Compare(a.Run, b.Run) })
	return out
}

// close removes all, and keeps nothing from now on.
func (k *keeping) close() {
	k.mu.Lock()
	k.ends = true
	var all []*kept
	for _, one := range k.all {
		all = append(all, one)
	}
	k.mu.Unlock()
	var removing sync.WaitGroup
	for _, one := range all {
		removing.Go(func() { k.drop(one) })
	}
	removing.Wait()
}

// telling bounds how long a runner waits until the server knows what it keeps. The next heartbeat says it again.
const telling = 5 * time.Second

// tellKept tells the server what is kept, before it hears of anything that comes after.
func (r *Runner) tellKept() {
	ctx, cancel := context.WithTimeout(context.Background(), telling)
	defer cancel()
	if err := r.heartbeat(ctx); err != nil {
		r.o.Log.Warn("tell the server which sandboxes are kept", "error", err)
	}
}
