//go:build linux

package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/storetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// full says that long tests run at full length (make test-faults).
var full = os.Getenv("MAYFLY_TEST_FULL") != ""

// linesOfRun is how many numbered lines the tool of these tests prints, over about half a second.
const linesOfRun = 200

const chatty = `name: chatty
image: busybox
script: |
  i=0
  while [ $i -lt 200 ]; do
    i=$((i+1)); echo line $i
    test $((i % 50)) != 0 || sleep 0.1
  done
`

// killsFlow has an artifact and an output, and steps that print as the tool does.
const killsFlow = `name: flow
workflow:
  - {name: make, tool: made, artifacts: [{name: app}]}
  - {name: talk, tool: chatty, needs: [make]}
  - name: use
    tool: {image: busybox, args: [{name: word}], script: "cat /artifacts/app/f; echo $WORD"}
    inputs: {word: "${make.WORD}"}
    artifacts: [{name: app, from: make}]
    needs: [talk]
`

const made = `name: made
image: busybox
outputs: [WORD]
script: |
  echo "WORD=hello" >>$MAYFLY_OUTPUT
  echo made >/artifacts/app/f
`

// TestKills kills the server, its runners and the supervisors of sandboxes, again and again, while clients ask for runs of a tool and of a
// workflow, and cancel some. Nothing that was accepted is lost, each run and each step ends once, what it printed is all there, or the run says that
// something is missing, and what the clients were told could have happened.
func TestKills(t *testing.T) {
	kills := 5
	if full {
		kills = 100
	}
	t.Run("SQLite", func(t *testing.T) { surviveKills(t, newServer(t), kills) })
	t.Run("PostgreSQL", func(t *testing.T) {
		surviveKills(t, newServer(t, "--database", postgrestest.Start(t).Database(t)), kills-1)
	})
}

// victim is a process that is killed and started again.
type victim struct {
	name  string
	start func() *exec.Cmd
	mu    sync.Mutex
	cmd   *exec.Cmd
}

func (v *victim) again() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd = v.start()
}

func (v *victim) kill(t *testing.T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = v.cmd.Wait() // it was killed
}

// crowd are the clients of a test, and what they were told.
type crowd struct {
	client *api.Client
	*told
}

// told is what clients were told, also those of another server.
type told struct {
	t       *testing.T
	history storetest.Clients

	mu       sync.Mutex
	accepted []string          // ids
	names    map[string]string // of accepted runs, in the history, by their ids
	unsure   []string          // names of runs whose requests have no answer
	tried    map[string]bool   // ids of runs whose end somebody has asked for, with any answer
	cancels  int
	retries  bool // the tools may be retried, so a run that has lost a runner may succeed
}

func newCrowd(t *testing.T, client *api.Client) *crowd {
	return &crowd{client, &told{t: t, names: map[string]string{}, tried: map[string]bool{}}}
}

// as returns the same crowd with another client.
func (c *crowd) as(client *api.Client) *crowd { return &crowd{client, c.told} }

// ask asks for runs, and now and then looks at one of them, or cancels it.
func (c *crowd) ask(ctx context.Context, n int) {
	for i := 0; ctx.Err() == nil; i++ {
		c.submit(ctx, fmt.Sprintf("%d-%d", n, i), []string{"chatty", "flow"}[rand.IntN(2)])
		select {
		case <-time.After(time.Duration(100+rand.IntN(200)) * time.Millisecond):
		case <-ctx.Done():
		}
		c.mu.Lock()
		id := ""
		if some := c.accepted[max(0, len(c.accepted)-10):]; len(some) > 0 {
			id = some[rand.IntN(len(some))]
		}
		c.mu.Unlock()
		switch {
		case id == "":
		case rand.IntN(3) == 0:
			c.cancel(ctx, id)
		default:
			c.look(ctx, id)
		}
	}
}

// answerOf is what a client was told by an error.
func answerOf(err error) (a storetest.Answer) {
	var p *api.Problem
	switch {
	case err == nil:
	case errors.As(err, &p) && p.Status == http.StatusNotFound:
		a.Refused = store.ErrNotFound
	case errors.As(err, &p) && p.Reason == run.CodeOver:
		a.Refused = store.ErrOver
	default:
		a.Unknown = true
	}
	return a
}

func (c *crowd) submit(ctx context.Context, name, tool string) {
	c.history.Submit(name, func() storetest.Answer {
		r, err := c.client.CreateRun(ctx, "default", &api.NewRun{Tool: tool, Labels: map[string]string{"name": name}})
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.accepted = append(c.accepted, r.ID)
			c.names[r.ID] = name
		} else {
			c.unsure = append(c.unsure, name)
		}
		return answerOf(err)
	})
}

func (c *crowd) cancel(ctx context.Context, id string) {
	c.history.Cancel(c.name(id), func() storetest.Answer {
		_, err := c.client.Cancel(ctx, "default", id)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tried[id] = true
		if err == nil {
			c.cancels++
		}
		return answerOf(err)
	})
}

func (c *crowd) name(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[id]
}

func (c *crowd) look(ctx context.Context, id string) {
	c.history.Look(c.name(id), func() storetest.Answer {
		r, err := c.client.Run(ctx, "default", id)
		a := answerOf(err)
		if err == nil {
			a.Over, a.Status, a.Cancelling = !r.Finished.IsZero(), r.Status, r.Cancelling
		}
		return a
	})
}

// settle finds the runs whose requests had no answer: each was accepted once, or not at all.
func (c *crowd) settle(ctx context.Context) {
	for _, name := range c.unsure {
		var there []api.Run
		c.history.Look(name, func() storetest.Answer {
			list, err := c.client.Runs(ctx, "default", api.RunFilter{Labels: map[string]string{"name": name}})
			if err != nil {
				c.t.Error(err)
				return storetest.Answer{Unknown: true}
			}
			if there = list.Runs; len(there) == 0 {
				return storetest.Answer{Refused: store.ErrNotFound}
			}
			r := there[0]
			return storetest.Answer{Over: !r.Finished.IsZero(), Status: r.Status, Cancelling: r.Cancelling}
		})
		if len(there) > 1 {
			c.t.Errorf("one request has made %d runs", len(there))
		}
		for _, r := range there {
			c.accepted = append(c.accepted, r.ID)
			c.names[r.ID] = name
		}
	}
}

func surviveKills(t *testing.T, s *site, kills int) {
	s.write("chatty.yaml", chatty)
	s.write("made.yaml", made)
	before, err := testbed.Leftovers()
	if err != nil {
		t.Fatal(err)
	}
	s.write("flow.yaml", killsFlow)
	s.must("tool", "push", "chatty.yaml", "made.yaml", "flow.yaml")
	server := &victim{name: "server", cmd: s.process, start: func() *exec.Cmd { s.start(); return s.process }}
	victims := []*victim{server}
	spools := []string{}
	for _, name := range []string{"a", "b"} {
		data := t.TempDir()
		spools = append(spools, filepath.Join(data, "spool"))
		v := &victim{name: "runner " + name, start: s.remote(name, "default", data).start}
		v.again()
		victims = append(victims, v)
	}
	defer func() { // while the server still runs; their cleanup is checked at the end of the package
		for _, v := range victims[1:] {
			terminate(v.cmd)
		}
	}()
	client := s.client()
	c := newCrowd(t, client)
	asking, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for n := range 3 {
		work.Go(func() { c.ask(asking, n) })
	}
	killed := map[string]int{}
	for range kills {
		time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		if rand.IntN(3) == 0 {
			killed["shim"] += killShim(t)
			continue
		}
		v := victims[rand.IntN(len(victims))]
		v.kill(t)
		killed[v.name]++
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		v.again()
	}
	stop()
	work.Wait()
	c.settle(t.Context())
	statuses := map[run.State]int{}
	for _, id := range c.accepted {
		statuses[c.check(id)]++
	}
	operations, unknown := c.history.Operations()
	t.Logf("killed %v; %d runs accepted, %d cancels, %d of %d operations without an answer; they ended as %v",
		killed, len(c.accepted), c.cancels, unknown, operations, statuses)
	if len(c.accepted) == 0 || statuses[run.Succeeded] == 0 {
		t.Errorf("no run succeeded: %v", statuses)
	}
	for _, name := range c.history.Check() {
		t.Errorf("no order of operations explains what clients were told of the run named %s", name)
	}
	list, err := client.Runs(t.Context(), "default", api.RunFilter{Limit: 1000, Status: []string{"queued", "creating", "running"}})
	if err != nil || len(list.Runs) > 0 {
		t.Errorf("these aren't over: %+v, %v", list, err)
	}
	for _, dir := range spools {
		eventually(t, "the spool is empty", func() bool { return len(files(t, dir)) == 0 })
	}
	var left map[string]bool
	defer func() {
		if t.Failed() {
			t.Logf("left of sandboxes: %v", left)
		}
	}()
	eventually(t, "no sandbox is left", func() bool {
		if left, err = testbed.Leftovers(); err != nil {
			t.Fatal(err)
		}
		for what := range before {
			delete(left, what)
		}
		return len(left) == 0
	})
}

// check waits for the end of a run, and checks its events. Of a workflow, it checks those of its steps, too.
func (c *crowd) check(id string) run.State {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var all []run.Event
	c.history.Look(c.name(id), func() storetest.Answer {
		err := c.client.Follow(ctx, "default", id, 0, func(e run.Event) { all = append(all, e) }, nil) // it checks the numbers of the events
		if err != nil {
			c.t.Errorf("run %s: %v", id, err)
			return storetest.Answer{Unknown: true}
		}
		return storetest.Answer{Over: true, Status: all[len(all)-1].Result.Status}
	})
	if len(all) == 0 || all[len(all)-1].Result == nil {
		return ""
	}
	end := all[len(all)-1].Result
	one, err := c.client.Run(ctx, "default", id)
	if err != nil || one.Status != end.Status || one.Finished.IsZero() {
		c.t.Errorf("run %s: %+v, %v, want %s", id, one, err, end.Status)
		return ""
	}
	byStep := map[string][]run.Event{}
	for _, e := range all {
		byStep[e.Step] = append(byStep[e.Step], e)
	}
	if one.Kind != "workflow" {
		c.checkLog(id, end, byStep[""], one.Tool)
		return end.Status
	}
	c.checkSteps(ctx, one, end, byStep)
	return end.Status
}

// checkSteps checks that each step of a workflow has ended once, one after the other.
func (c *crowd) checkSteps(ctx context.Context, flow *api.Run, end *run.Result, byStep map[string][]run.Event) {
	c.t.Helper()
	steps, err := c.client.Steps(ctx, "default", flow.ID)
	if err != nil {
		c.t.Error(err)
		return
	}
	runs := map[string][]api.Run{}
	for _, r := range steps.Runs {
		runs[r.Step] = append(runs[r.Step], r)
		if r.Finished.IsZero() {
			c.t.Errorf("run %s of the step %s of %s isn't over: %s", r.ID, r.Step, flow.ID, r.Status)
		}
	}
	before, failed := int64(0), false
	for i, name := range []string{"make", "talk", "use"} {
		if len(end.Steps) != 3 || end.Steps[i].Step != name {
			c.t.Errorf("workflow %s has the steps %+v", flow.ID, end.Steps)
			return
		}
		status := end.Steps[i].Status
		if status == run.Skipped || failed {
			if len(runs[name]) > 0 || status == run.Succeeded {
				c.t.Errorf("workflow %s: the step %s after one that hasn't succeeded is %s, with the runs %+v", flow.ID, name, status, runs[name])
			}
			failed = true
			continue
		}
		events := byStep[name]
		if len(runs[name]) > 1 || len(events) == 0 {
			c.t.Errorf("workflow %s: the step %s has %d runs and %d events", flow.ID, name, len(runs[name]), len(events))
			continue
		}
		if first := events[0].Seq; first <= before {
			c.t.Errorf("workflow %s: the step %s begins with event %d, and the one before ends with %d", flow.ID, name, first, before)
		}
		before = events[len(events)-1].Seq
		failed = status != run.Succeeded
		for _, r := range runs[name] {
			c.checkStep(ctx, r, status)
		}
	}
	// Its end may be asked for when all steps have succeeded already.
	if succeeded := end.Status == run.Succeeded; succeeded == failed && !(end.Status == run.Cancelled && !failed) {
		c.t.Errorf("workflow %s is %s, and its steps are %+v", flow.ID, end.Status, end.Steps)
	}
}

// checkStep checks the run of a step, which the workflow says has ended with a status.
func (c *crowd) checkStep(ctx context.Context, r api.Run, status run.State) {
	c.t.Helper()
	var all []run.Event
	err := c.client.Follow(ctx, "default", r.ID, 0, func(e run.Event) { e.Step = ""; all = append(all, e) }, nil)
	if err != nil || len(all) == 0 || all[len(all)-1].Result == nil || r.Status != status {
		c.t.Errorf("the run %s of the step %s has ended as %s: %d events, %v; its workflow says %s", r.ID, r.Step, r.Status, len(all), err, status)
		return
	}
	c.checkLog(r.ID, all[len(all)-1].Result, all, map[string]string{"talk": "chatty", "use": "use"}[r.Step])
}

// checkLog checks that a run has one result, which is its last event, and that what it printed is all there or that something is missing.
func (c *crowd) checkLog(id string, end *run.Result, events []run.Event, tool string) {
	c.t.Helper()
	results, marks := 0, 0
	var out strings.Builder
	for i, e := range events {
		if e.Result != nil {
			results++
			if i < len(events)-1 {
				c.t.Errorf("run %s: %d events after the result", id, len(events)-1-i)
			}
		}
		if e.State != nil && e.State.Attempt > 1 { // it is retried
			if tool == "chatty" {
				c.checkLines(id, out.String())
			}
			out.Reset()
		}
		if e.Dropped != nil {
			marks++
			// The mark of a lost runner comes after all that it has sent.
			if i+1 >= len(events) || e.Dropped.Events != 0 || events[i+1].State == nil {
				c.t.Errorf("run %s: event %d says that something is missing: %+v", id, e.Seq, e.Dropped)
			}
		}
		if e.Log != nil {
			out.Write(e.Log.Bytes())
		}
	}
	if results != 1 {
		c.t.Errorf("run %s has %d results", id, results)
	}
	// A run whose shim was killed is lost too, but its runner has sent all that it had.
	if unmarked := end.Code == run.CodeRunnerLost && marks == 0; (unmarked || marks > 0 && end.Status == run.Succeeded) && !c.retries {
		c.t.Errorf("run %s has ended as %s, and %d events say that something is missing", id, end.Status, marks)
	}
	switch tool {
	case "use":
		if want := "made\nhello\n"; end.Status == run.Succeeded && out.String() != want {
			c.t.Errorf("run %s has printed %q, want %q", id, out.String(), want)
		}
		return
	case "chatty":
	default:
		return
	}
	lines := c.checkLines(id, out.String())
	if end.Status == run.Succeeded && lines != linesOfRun {
		c.t.Errorf("run %s succeeded with %d lines, want %d", id, lines, linesOfRun)
	}
}

// checkLines checks that numbered lines are complete, except for the last one, and returns how many there are.
func (c *crowd) checkLines(id, out string) int {
	c.t.Helper()
	lines := slices.Collect(strings.Lines(out))
	for i, line := range lines {
		if want := fmt.Sprintf("line %d\n", i+1); line != want && (i < len(lines)-1 || !strings.HasPrefix(want, line)) {
			c.t.Errorf("run %s: line %d is %q", id, i+1, line)
			break
		}
	}
	return len(lines)
}

// killShim kills one of the supervisors of sandboxes, if there is one, and returns how many.
func killShim(t *testing.T) (killed int) {
	t.Helper()
	each(t, func(pid int) bool {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed = 1
		}
		return killed == 0
	})
	return killed
}

// client returns a client of the API.
func (s *site) client() *api.Client {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.data, "admin-token"))
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := api.NewClient(api.ClientOptions{Server: s.url, Token: strings.TrimSpace(string(token)), Fingerprint: s.fingerprint()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// TestStopped stops a runner for longer than its lease, and has it go on: what it reports then is refused, and it ends its sandbox.
func TestStopped(t *testing.T) {
	s := newServer(t, "--lease", "3s")
	s.write("endless.yaml", "name: endless\nimage: busybox\ncommand: [sh, -c, \"while :; do echo up; sleep 0.1; done\"]\n")
	c := s.remote("a", "default", t.TempDir()).start()
	id := strings.TrimSpace(s.must("run", "endless.yaml", "--detach"))
	s.wait("up", "logs", id)
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	client := s.client()
	var lost *api.Run
	eventually(t, "the run is lost", func() bool {
		var err error
		if lost, err = client.Run(t.Context(), "default", id); err != nil {
			t.Fatal(err)
		}
		return lost.Status == run.Lost
	})
	if want := "the runner a was silent for longer than its lease of 3s"; lost.Reason != want {
		t.Errorf("the run says %q, want %q", lost.Reason, want)
	}
	before := s.must("logs", id, "--json")
	if shims(t) == 0 {
		t.Error("the sandbox of a stopped runner has ended by itself: this test shows nothing")
	}
	if err := c.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sandbox has ended", func() bool { return shims(t) == 0 })
	if after := s.must("logs", id, "--json"); after != before {
		t.Errorf("the log has changed after the end of the run: %q", strings.TrimPrefix(after, before))
	}
	// It takes runs again.
	if a := s.run("run", "endless.yaml", "--timeout", "1s"); a.status != 124 {
		t.Errorf("then a run ends with %+v", a)
	}
}

// shims counts the supervisors of sandboxes.
func shims(t *testing.T) (n int) {
	t.Helper()
	each(t, func(int) bool { n++; return true })
	return n
}

// each calls f with the process of each supervisor of a sandbox of this checkout, in any order, until it returns false.
func each(t *testing.T, f func(pid int) bool) {
	t.Helper()
	shim := filepath.Join(testbed.Bin(t), "mayfly-shim")
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, exe := range all {
		if target, err := os.Readlink(exe); err != nil || target != shim {
			continue // or it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
		if err != nil {
			t.Fatal(err)
		}
		if !f(pid) {
			return
		}
	}
}
