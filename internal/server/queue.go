package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// asks sets what a run asks of its runner and of the queue: a size, limits and retries. name is what the server knows its tool by.
func (s *Server) asks(ctx context.Context, row *store.NewRun, name string, req *run.Request) error {
	for _, t := range req.Tools() { // of the tools of tests, one runs at a time
		r := t.Resources
		row.Size = store.Size{CPU: max(row.Size.CPU, r.CPU), Memory: max(row.Size.Memory, r.Memory), Disk: max(row.Size.Disk, r.Disk)}
	}
	if req.Tool != nil { // tests aren't repeated
		row.Retries = retriesWhenLost(req.Tool.Retry)
	}
	p, err := s.policy(ctx, row.Project)
	if err != nil {
		return err
	}
	inProject, ofTool := p.AtOnce(name)
	if inProject > 0 {
		row.Limits = append(row.Limits, store.Limit{Name: store.ProjectLimit(row.Project), Most: inProject})
	}
	if ofTool > 0 {
		row.Limits = append(row.Limits, store.Limit{Name: row.Project + "/tool/" + name, Most: ofTool})
	}
	return wrongAsked(row)
}

// mostAsked bounds what a run asks of its runner and of the queue, in bytes of JSON: it is in an index, whose rows have at most 2704 bytes
// in PostgreSQL.
const mostAsked = 2000

// wrongLabels says what is wrong with the labels of a run.
func wrongLabels(labels map[string]string) error {
	for key, value := range labels {
		what := "key"
		wrong, hint := tool.CheckLabelKey(key)
		if wrong == "" {
			what = "value"
			wrong, hint = tool.CheckLabelValue(value)
		}
		if wrong != "" {
			return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("the %s of the label %.300q %s", what, key, wrong), hint)
		}
	}
	return nil
}

// wrongAsked says what is wrong with what a run asks of its runner, and with the keys of its limits.
func wrongAsked(row *store.NewRun) error {
	asked, err := json.Marshal([]any{row.Needs, row.Limits})
	if err != nil {
		return err
	}
	if len(asked) > mostAsked {
		return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest,
			fmt.Sprintf("the labels of a runner and the key that the run asks for have %d bytes; the most is %d", len(asked), mostAsked), "use fewer or shorter ones")
	}
	return nil
}

// keyLimit is the limit that a run's request has.
func keyLimit(project string, c *api.Concurrency) []store.Limit {
	if c == nil {
		return nil
	}
	return []store.Limit{{Name: project + keyPart + c.Key, Most: c.Limit}}
}

const keyPart = "/key/"

// keyLimitOf is the limit that the request of a run had.
func keyLimitOf(r store.Run) (all []store.Limit) {
	for _, l := range r.Limits {
		if strings.HasPrefix(l.Name, r.Project+keyPart) {
			all = append(all, l)
		}
	}
	return all
}

// retriesWhenLost is how often a run is given to another runner. A lost runner is a failure as any other: Mayfly's own, whose exit status
// on_exit may leave out.
func retriesWhenLost(r *tool.Retry) int {
	if r == nil || len(r.OnExit) > 0 && !slices.Contains(r.OnExit, run.ExitError) {
		return 0
	}
	return max(0, r.Attempts-1)
}

// follows is before the reason of a retry by another runner.
const follows = "follows: "

// lostResult is how a run ends that its runner has lost, because of why. If its tool may be retried, it waits for another runner.
func (s *Server) lostResult(c store.Claimed, why string) (store.Ended, error) {
	if c.Cancelling && !c.Reported {
		return s.live.codec.ending(c.Run, &run.Result{
			Status: run.Cancelled, ExitCode: run.ExitCancelled, Code: run.CodeCancelled, Reason: "cancelled before its runner reported anything",
		})
	}
	now := time.Now().UTC()
	missing := run.Event{Time: now, Dropped: &run.Dropped{Reason: why + "; what the tool printed and the runner hadn't sent yet is lost"}}
	if c.Retries == 0 || c.Cancelling {
		return s.live.codec.ending(c.Run, &run.Result{
			Status: run.Lost, ExitCode: run.ExitError, Code: run.CodeRunnerLost, Reason: why, Hint: "look at the runner's log, then run it again",
		}, missing)
	}
	events := []run.Event{missing, {Time: now, State: &run.StateChange{State: run.Queued, Attempt: c.Attempt + 1, Detail: follows + why}}}
	return store.Ended{
		Again:  true,
		Encode: func(before int64) (store.Chunk, error) { return s.live.codec.encode(c.Run, events, before) },
		EncodeFor: func(p store.Parent, before int64) (store.Chunk, error) {
			return s.live.codec.encodeFor(p, events, before)
		},
	}, nil
}

// sizeOf is what a runner has, as the store keeps it. It may take any number of what it doesn't mention.
func sizeOf(c api.Capacity) store.Size {
	size := store.Unbounded()
	if c.CPU > 0 {
		size.CPU = int64(c.CPU * 1000)
	}
	if c.Memory > 0 {
		size.Memory = c.Memory
	}
	if c.Disk > 0 {
		size.Disk = c.Disk
	}
	return size
}

// capacityOf is what a runner has, for people.
func capacityOf(size store.Size) (c api.Capacity) {
	unbounded := store.Unbounded()
	if size.CPU < unbounded.CPU {
		c.CPU = float64(size.CPU) / 1000
	}
	if size.Memory < unbounded.Memory {
		c.Memory = size.Memory
	}
	if size.Disk < unbounded.Disk {
		c.Disk = size.Disk
	}
	return c
}

// tooLarge says what of a size none of the runners has; it is "" if one of them has all of it.
func tooLarge(size store.Size, runners []store.Runner) string {
	if slices.ContainsFunc(runners, func(r store.Runner) bool { return size.FitsIn(r.Capacity) }) {
		return ""
	}
	most := store.Size{}
	for _, r := range runners {
		most.CPU, most.Memory, most.Disk = max(most.CPU, r.Capacity.CPU), max(most.Memory, r.Capacity.Memory), max(most.Disk, r.Capacity.Disk)
	}
	cpu := func(v int64) string { return strconv.FormatFloat(float64(v)/1000, 'g', -1, 64) }
	switch {
	case size.CPU > most.CPU:
		return fmt.Sprintf("has cpu %s; the most is %s", cpu(size.CPU), cpu(most.CPU))
	case size.Memory > most.Memory:
		return fmt.Sprintf("has memory %s; the most is %s", shape.FormatSize(size.Memory), shape.FormatSize(most.Memory))
	case size.Disk > most.Disk:
		return fmt.Sprintf("has disk %s; the most is %s", shape.FormatSize(size.Disk), shape.FormatSize(most.Disk))
	}
	return "has all of what the run asks for: cpu, memory and disk"
}

// queues knows about how many runs of each project wait.
type queues struct {
	most int // 0 for any number

	mu   sync.Mutex
	have map[string]queueLength
}

type queueLength struct {
	n    int
	read time.Time
}

const (
	// lengthAge is for how long the length of a queue is taken from what this server has accepted since it was read.
	lengthAge  = 200 * time.Millisecond
	mostQueues = 1000
	// queueRetry is when whoever was refused may try again.
	queueRetry = 5 * time.Second
)

// unless takes back what mayQueue has counted, if no run was made.
func (q *queues) unless(err *error, project string) {
	if *err == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if have, ok := q.have[project]; ok {
		have.n--
		q.have[project] = have
	}
}

// mayQueue refuses a run of a project if too many wait. Steps of workflows always may.
func (s *Server) mayQueue(ctx context.Context, project string) error {
	q := &s.queues
	if q.most == 0 {
		return nil
	}
	q.mu.Lock()
	have, ok := q.have[project]
	q.mu.Unlock()
	if !ok || time.Since(have.read) > lengthAge {
		n, err := s.store.QueuedIn(ctx, []string{project}, q.most)
		if err != nil {
			return s.explain(err, "queue of the project "+project)
		}
		have = queueLength{n[project], time.Now()}
	}
	full := have.n >= q.most
	have.n++
	q.mu.Lock()
	if len(q.have) >= mostQueues {
		clear(q.have)
	}
	q.have[project] = have
	q.mu.Unlock()
	if !full {
		return nil
	}
	p := problem(http.StatusTooManyRequests, run.CodeQueueFull, fmt.Sprintf("%d runs of the project %s wait already, as many as may", q.most, project),
		fmt.Sprintf("try again in %d s, cancel some of them, or add runners", int(queueRetry.Seconds())))
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(queueRetry.Seconds()))}})
}
