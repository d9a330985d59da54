//go:build linux

package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
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

// TestKills kills the server, its runners and the supervisors of sandboxes, again and again, while clients ask for runs. Nothing that
// was accepted is lost, each run ends once, and what it printed is all there, or the run says that it was lost.
func TestKills(t *testing.T) {
	kills := 8
	if full {
		kills = 100
	}
	t.Run("SQLite", func(t *testing.T) { surviveKills(t, newServer(t), kills) })
	if full {
		t.Run("PostgreSQL", func(t *testing.T) {
			surviveKills(t, newServer(t, "--database", postgrestest.Start(t).Database(t)), kills)
		})
	}
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
	t        *testing.T
	client   *api.Client
	mu       sync.Mutex
	accepted []string
	refused  int
}

func (c *crowd) ask(ctx context.Context, n int) {
	for i := 0; ctx.Err() == nil; i++ {
		r, err := c.client.CreateRun(ctx, "default", &api.NewRun{Tool: "chatty", Labels: map[string]string{"client": strconv.Itoa(n), "n": strconv.Itoa(i)}})
		c.mu.Lock()
		if err == nil {
			c.accepted = append(c.accepted, r.ID)
		} else {
			c.refused++
		}
		c.mu.Unlock()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func surviveKills(t *testing.T, s *site, kills int) {
	s.write("chatty.yaml", chatty)
	s.must("tool", "push", "chatty.yaml")
	server := &victim{name: "server", cmd: s.process, start: func() *exec.Cmd { s.start(); return s.process }}
	victims := []*victim{server}
	for _, name := range []string{"a", "b"} {
		v := &victim{name: "runner " + name, start: s.remote(name, "default", t.TempDir()).start}
		v.again()
		victims = append(victims, v)
	}
	defer func() { // while the server still runs; their cleanup is checked at the end of the package
		for _, v := range victims[1:] {
			terminate(v.cmd)
		}
	}()
	client := s.client()
	c := &crowd{t: t, client: client}
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
	statuses := map[run.State]int{}
	for _, id := range c.accepted {
		statuses[c.check(id)]++
	}
	t.Logf("killed %v; %d runs accepted, %d requests failed; they ended as %v", killed, len(c.accepted), c.refused, statuses)
	if len(c.accepted) == 0 || statuses[run.Succeeded] == 0 {
		t.Errorf("no run succeeded: %v", statuses)
	}
	list, err := client.Runs(t.Context(), "default", api.RunFilter{Limit: 1000, Status: []string{"queued", "creating", "running"}})
	if err != nil || len(list.Runs) > 0 {
		t.Errorf("these aren't over: %+v, %v", list, err)
	}
}

// check waits for the end of a run, and checks its events.
func (c *crowd) check(id string) run.State {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var results []run.State
	var out strings.Builder
	after := 0
	err := c.client.Follow(ctx, "default", id, 0, func(e run.Event) { // it checks the numbers of the events
		if len(results) > 0 {
			after++
		}
		if e.Result != nil {
			results = append(results, e.Result.Status)
		}
		if e.Log != nil {
			out.Write(e.Log.Bytes())
		}
	}, nil)
	if err != nil || len(results) != 1 || after > 0 {
		c.t.Errorf("run %s: %v, results %v, %d events after the result", id, err, results, after)
		return ""
	}
	one, err := c.client.Run(ctx, "default", id)
	if err != nil || one.Status != results[0] {
		c.t.Errorf("run %s: %+v, %v, want %s", id, one, err, results[0])
	}
	lines := slices.Collect(strings.Lines(out.String()))
	for i, line := range lines {
		if want := fmt.Sprintf("line %d\n", i+1); line != want && (i < len(lines)-1 || !strings.HasPrefix(want, line)) {
			c.t.Errorf("run %s: line %d is %q", id, i+1, line)
			break
		}
	}
	if results[0] == run.Succeeded && len(lines) != linesOfRun {
		c.t.Errorf("run %s succeeded with %d lines, want %d", id, len(lines), linesOfRun)
	}
	return results[0]
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
