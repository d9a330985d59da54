//go:build linux

package server

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// shiftVariable has the clock of a mayflyd of [shifted] be wrong, by a number of seconds.
const shiftVariable = "MAYFLY_TEST_CLOCK"

// shiftedTime writes an overlay for go build to a folder, with which time.Now is wrong if a program is told so. What is measured with a clock
// that only goes on isn't.
func shiftedTime(t *testing.T, dir string) (overlay string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const now = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	if strings.Count(string(text), now) != 1 {
		t.Fatalf("time.Now isn't as this test knows it: look for it in %s", source)
	}
	changed := strings.Replace(string(text), now, "\tsec, nsec, mono := runtimeNow()\n\tsec += shift\n\tif mono == 0 {", 1) + `
var shift = func() int64 {
	text, _ := syscall.Getenv("` + shiftVariable + `")
	n, _ := atoi(text)
	return int64(n)
}()
`
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"syscall\"\n", 1)
	file := filepath.Join(dir, "time.go")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: file}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	for name, data := range map[string][]byte{file: []byte(changed), overlay: replace} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// goBuild builds with an overlay.
func goBuild(t *testing.T, overlay string, args ...string) {
	t.Helper()
	c := exec.Command("go", append([]string{"build", "-overlay", overlay}, args...)...)
	c.Dir, c.Env = testbed.Root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %q: %v\n%s", args, err, out)
	}
}

// shifted returns a mayflyd with that overlay.
func shifted(t *testing.T, dir, overlay string) string {
	t.Helper()
	for _, name := range []string{"mayfly-shim", "mayfly-cel"} { // it looks for them beside itself
		if err := os.Symlink(filepath.Join(testbed.Bin(t), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	daemon := filepath.Join(dir, "mayflyd")
	goBuild(t, overlay, "-o", daemon, "./cmd/mayflyd")
	return daemon
}

// wrongClock has a command of mayflyd run with a clock that is wrong by d.
func wrongClock(daemon string, d time.Duration) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.Path, c.Args[0] = daemon, daemon
		c.Env = append(c.Env, fmt.Sprintf("%s=%d", shiftVariable, int(d.Seconds())))
	}
}

// TestClocks builds Go's package time with a clock that is wrong, and in full a mayflyd with it. Nothing shorter has a process with a wrong clock: all
// that mayflyd has depends on package time, so it is compiled anew, for minutes; a time namespace has other clocks than the one of the date
// (time_namespaces(7)); and a static program, which asks the kernel's page for the time, takes no other library and makes no call that could be changed.
func TestClocks(t *testing.T) {
	dir := t.TempDir()
	overlay := shiftedTime(t, dir)
	goBuild(t, overlay, "time")
	if full {
		t.Run("AnHourApart", func(t *testing.T) { anHourApart(t, shifted(t, dir, overlay)) })
	}
}

// anHourApart has two servers with one database, and runners, whose clocks are an hour apart: leases, tokens and limits in time end when
// they should, and nothing is lost.
func anHourApart(t *testing.T, daemon string) {
	const lease = 5 * time.Second
	flags := []string{"--database", postgrestest.Start(t).Database(t), "--archive", t.TempDir(), "--lease", lease.String()}
	sites := map[string]*site{}
	var first *site
	for _, name := range []string{"right", "ahead"} {
		s := replica(t, first, flags...)
		first = s
		sites[name] = s
		s.prepare = wrongClock(daemon, map[string]time.Duration{"ahead": time.Hour}[name])
		s.begin()
		s.write("chatty.yaml", chatty)
		s.write("long.yaml", "name: long\nimage: busybox\ncommand: [sh, -c, \"sleep 15; echo done\"]\n")
		s.write("endless.yaml", "name: endless\nimage: busybox\ncommand: [sh, -c, \"echo up; exec sleep 1000\"]\n")
		s.writeFlow()
		s.write("flow.yaml", "timeout: 5m\n"+flow)
	}
	right, ahead := sites["right"], sites["ahead"]
	var runners []*exec.Cmd
	start := func(r *remote) *exec.Cmd {
		c := r.command(r.s.url)
		wrongClock(daemon, -time.Hour)(c)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { terminate(c) })
		runners = append(runners, c)
		return c
	}
	start(right.remote("one", "default", t.TempDir()))
	start(ahead.remote("two", "default", t.TempDir()))
	for name, s := range sites {
		for _, runner := range []string{"one", "two"} {
			eventually(t, runner+" is ready, says the server "+name, func() bool {
				return regexp.MustCompile(`(?m)^` + runner + ` .* ready `).MatchString(s.must("runner", "ls"))
			})
		}
	}
	right.must("tool", "push", "chatty.yaml")

	// The clocks are wrong, otherwise this test shows nothing.
	for name, want := range map[string]time.Duration{"right": 0, "ahead": time.Hour} {
		_, text, _ := strings.Cut(sites[name].log.String(), "time=")
		text, _, _ = strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339Nano, text)
		if off := time.Until(at) - want; err != nil || off.Abs() > 5*time.Minute {
			t.Errorf("the clock of %s is %v, %v", name, at, err)
		}
	}

	var work sync.WaitGroup
	for name, s := range sites {
		c := newCrowd(t, s.client())
		work.Go(func() {
			for range 20 {
				r, err := c.client.CreateRun(t.Context(), "default", &api.NewRun{Tool: "chatty"})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				c.accepted = append(c.accepted, r.ID)
			}
			for _, id := range c.accepted {
				if got := c.check(id); got != run.Succeeded {
					t.Errorf("%s: run %s has ended as %s", name, id, got)
				}
				one, two := right.must("logs", "--json", id), ahead.must("logs", "--json", id)
				if one != two {
					t.Errorf("%s: the servers have different events of run %s", name, id)
				}
				var first run.Event
				for line := range strings.Lines(one) {
					var e run.Event
					if err := json.Unmarshal([]byte(line), &e); err != nil {
						t.Error(err)
						return
					}
					if e.Log != nil && first.Log == nil {
						first = e
					}
				}
				if off := time.Until(first.Time) + time.Hour; off.Abs() > 5*time.Minute {
					t.Errorf("the clock of the runner of run %s is %v", id, first.Time)
				}
			}
		})
		work.Go(func() { // for three times its lease
			if a := s.run("run", "long.yaml"); a.status != 0 || a.out != "done\n" {
				t.Errorf("%s: a long run: %+v", name, a)
			}
		})
		work.Go(func() {
			a := s.run("run", "flow.yaml")
			if a.status != 0 || !strings.HasSuffix(a.out, "last | make succeeded\n") {
				t.Errorf("%s: a workflow: %+v", name, a)
			}
		})
		work.Go(func() { s.tokenExpires("short-" + name) })
	}
	work.Wait()
	for _, s := range sites {
		list, err := s.client().Runs(t.Context(), "default", api.RunFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Runs) < 44 {
			t.Errorf("%d runs", len(list.Runs))
		}
		for _, r := range list.Runs {
			if took := r.Finished.Sub(r.Accepted); r.Status != run.Succeeded || took < 0 || took > 2*patience {
				t.Errorf("run %s of %s: %s after %s", r.ID, r.Tool, r.Status, took)
			}
		}
	}
	for name, s := range sites {
		s.durations(name)
		victim := s.remote("victim-"+name, name, t.TempDir())
		s.losesInTime(name, start(victim), lease)
		start(victim) // it removes what is left
		s.must("audit", "verify")
	}
	var before time.Time
	for line := range strings.Lines(right.must("audit", "ls", "--all-projects", "--all", "--json")) {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Time.Before(before) {
			t.Errorf("entry %d is of %v, and the one before it of %v", e.Number, e.Time, before)
		}
		before = e.Time
	}
	for _, c := range runners {
		terminate(c)
	}
}

// durations checks how long workflows took, and their steps.
func (s *site) durations(name string) {
	s.t.Helper()
	client := s.client()
	list, err := client.Runs(s.t.Context(), "default", api.RunFilter{Limit: 1000, Tool: "flow"})
	if err != nil {
		s.t.Fatal(err)
	}
	seen := 0
	for _, r := range list.Runs {
		if r.Kind != "workflow" {
			continue
		}
		seen++
		err := client.Follow(s.t.Context(), "default", r.ID, 0, func(e run.Event) {
			if e.Result == nil || e.Step != "" {
				return
			}
			spans := map[string]time.Duration{"the workflow": time.Duration(e.Result.DurationMS) * time.Millisecond}
			for _, step := range e.Result.Steps {
				spans[step.Step] = step.Finished.Sub(step.Started)
				spans["the time before "+step.Step] = step.Started.Sub(e.Result.Timeline.Started)
			}
			for what, d := range spans {
				if d < -time.Second || d > 2*patience { // the clock is read before the run is accepted
					s.t.Errorf("%s: run %s: %s takes %s", name, r.ID, what, d)
				}
			}
		}, nil)
		if err != nil {
			s.t.Error(err)
		}
	}
	if seen != 2 {
		s.t.Errorf("%s: %d workflows", name, seen)
	}
}

// tokenExpires makes a token that is good for a few seconds, and uses it until it isn't.
func (s *site) tokenExpires(name string) {
	const good = 20 * time.Second
	begin := time.Now()
	token := strings.TrimSpace(s.must("token", "create", name, "--role", "viewer", "--expires", good.String()))
	for {
		c := s.mayfly("runs", "--server", s.url)
		c.Env = append(c.Env, "MAYFLY_TOKEN="+token)
		at := time.Since(begin)
		out, err := c.CombinedOutput()
		if err != nil {
			if time.Since(begin) < good-time.Second || !strings.Contains(string(out), "the token is unknown, has expired or is revoked") {
				s.t.Errorf("%s: a token for %s is refused after %s: %s", name, good, at, out)
			}
			return
		}
		if at > 2*good {
			s.t.Errorf("%s: a token for %s is good after %s", name, good, at)
			return
		}
		time.Sleep(time.Second)
	}
}

// losesInTime kills the only runner of a pool: its run ends as lost when its lease is over.
func (s *site) losesInTime(pool string, runner *exec.Cmd, lease time.Duration) {
	s.t.Helper()
	id := strings.TrimSpace(s.must("run", "endless.yaml", "--pool", pool, "--detach", "-q"))
	s.wait("up", "logs", id)
	if err := runner.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = runner.Wait() // it was killed
	begin := time.Now()
	a := s.run("logs", "-f", id)
	took := time.Since(begin)
	if a.status != 125 || !strings.Contains(a.err, "was silent for longer than its lease of 5s") {
		s.t.Errorf("%s: the run of a runner that was killed: %+v", pool, a)
	}
	if took < lease/4 || took > lease+15*time.Second { // it may have reported just before, or a third of the lease
		s.t.Errorf("%s: with a lease of %s, the run is lost after %s", pool, lease, took)
	}
}
