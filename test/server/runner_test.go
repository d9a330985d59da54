//go:build linux

package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// remote is a runner in a process of its own, which may end and be started again: with the same name, token and folder.
type remote struct {
	s    *site
	args []string
	log  bytes.Buffer // of all its processes
}

// remote returns a runner of a pool that doesn't run yet, with a folder for its data.
func (s *site) remote(name, pool, data string, args ...string) *remote {
	s.t.Helper()
	token := filepath.Join(s.t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.must("token", "create", "runner-"+name, "--role", "runner", "--pool", pool, "--all-projects")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	r := &remote{s: s, args: append([]string{"runner", "--token-file", token, "--data", data, "--fingerprint", s.fingerprint(), "--name", name}, args...)}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the log of runner %s:\n%s", name, &r.log)
		}
	})
	return r
}

// command returns the command of a runner that reaches the server at a URL.
func (r *remote) command(url string) *exec.Cmd {
	c := r.s.mayfly(append(r.args, "--server", url)...)
	c.Stderr = &r.log
	return c
}

// start starts a runner. Its process ends with the test.
func (r *remote) start() *exec.Cmd {
	r.s.t.Helper()
	c := r.command(r.s.url)
	if err := c.Start(); err != nil {
		r.s.t.Fatal(err)
	}
	r.s.t.Cleanup(func() { terminate(c) })
	return c
}

// terminate ends a process gracefully, if it hasn't ended.
func terminate(c *exec.Cmd) {
	_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = c.Wait()
}

// remoteRunner starts a runner of a pool, with the pool's name.
func (s *site) remoteRunner(pool string, args ...string) *exec.Cmd {
	s.t.Helper()
	return s.remote(pool, pool, s.t.TempDir(), args...).start()
}

// drain drains a runner and waits until its process has ended by itself.
func (s *site) drain(name string, c *exec.Cmd) {
	s.t.Helper()
	if out := s.must("runner", "drain", name); out != name+" takes no new runs, and ends when it is idle\n" {
		s.t.Errorf("drain: %q", out)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			s.t.Errorf("a runner that has drained ends with %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("a runner that drains doesn't end")
	}
}

func (s *site) fingerprint() string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.home, "contexts.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all struct {
		Contexts []struct{ Fingerprint string }
	}
	if err := json.Unmarshal(data, &all); err != nil {
		s.t.Fatal(err)
	}
	return all.Contexts[0].Fingerprint
}

// wait waits until a command prints a text.
func (s *site) wait(text string, args ...string) string {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		out := s.must(args...)
		if strings.Contains(out, text) {
			return out
		}
		if time.Now().After(end) {
			s.t.Fatalf("mayfly %s prints %q, never %q", strings.Join(args, " "), out, text)
		}
	}
}

// TestRemoteRunner has a run wait for a runner with its label in its pool, which comes later, and drains it.
func TestRemoteRunner(t *testing.T) {
	s := newSite(t)
	s.write("gate.yaml", "name: gate\nimage: busybox\nscript: {file: gate.sh}\nvolumes: [{name: word, file: word.txt, mount_path: /word}]\n")
	s.write("gate.sh", "echo up; sleep 2; cat /word")
	s.write("word.txt", "along\n")
	id := strings.TrimSpace(s.must("run", "gate.yaml", "--pool", "build", "--runner-label", "gpu", "--detach"))
	if a := s.run("run", "gate.yaml", "--pool", "build", "--detach"); !strings.Contains(a.err, "the run waits: no runner of the pool build is connected") {
		t.Errorf("a run that no runner takes: %+v", a)
	}
	c := s.remoteRunner("build", "--label", "gpu", "--slots", "1")
	if a := s.run("logs", "-f", id); a.status != 0 || a.out != "up\nalong\n" {
		t.Errorf("followed: %+v", a)
	}
	s.wait("build   build", "runner", "ls")
	s.drain("build", c)
	if list := s.must("runs", "--status", "succeeded"); strings.Count(list, "\n") != 3 {
		t.Errorf("its runs end before it does: %s", list)
	}
}

// TestHistory looks at runs after they have ended.
func TestHistory(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\nargs: [{name: n, default: one}]\ncommand: [sh, -c, \"echo $N; exit 4\"]\n")
	s.must("tool", "push", "t.yaml")
	first := s.run("run", "t", "--arg", "n=two")
	id := s.latestRun()
	if a := s.run("logs", id); a.out != "two\n" || a.status != 0 || a.err != first.err {
		t.Errorf("logs: %+v, and the run said %+v", a, first)
	}
	if a := s.run("logs", "-f", id); a.out != "two\n" || a.status != 4 {
		t.Errorf("logs -f: %+v", a)
	}
	s.write("t.yaml", "name: t\nimage: busybox\ncommand: [sh, -c, \"echo other\"]\n")
	s.must("tool", "push", "t.yaml")
	if a := s.run("rerun", id); a != first {
		t.Errorf("rerun: %+v, want %+v", a, first)
	}
	if list := s.must("runs", "--status", "failed", "--tool", "t"); strings.Count(list, "\n") != 3 {
		t.Errorf("failed runs: %s", list)
	}
	if a := s.run("cancel", id); a.status != 125 || !strings.Contains(a.err, "run "+id+" has ended already") {
		t.Errorf("cancel a run that has ended: %+v", a)
	}
	waiting := strings.TrimSpace(s.must("run", "t", "--pool", "none", "--detach", "-q"))
	s.must("cancel", waiting)
	if a := s.run("logs", "-f", waiting); a.status != 130 || !strings.Contains(a.err, "cancelled before a runner took it, by admin") {
		t.Errorf("a run that was cancelled while it waited: %+v", a)
	}
}

// TestNames has a folder with the name of the server's tool: the name is the tool, and a path the folder.
func TestNames(t *testing.T) {
	s := newSite(t)
	s.write("pushed.yaml", "name: t\nimage: busybox\ncommand: [echo, server]\n")
	s.must("tool", "push", "pushed.yaml")
	s.write("t/tool.yaml", "name: t\nimage: busybox\ncommand: [echo, folder]\n")
	if a := s.run("run", "t"); a.status != 0 || a.out != "server\n" || !strings.Contains(a.err, "mayfly: t is a name, so it is that of the server's tool; for the definition here, write ./t") {
		t.Errorf("a name: %+v", a)
	}
	if a := s.run("run", "./t"); a.status != 0 || a.out != "folder\n" {
		t.Errorf("a path: %+v", a)
	}
}

// TestLog looks into a long log without reading all of it.
func TestLog(t *testing.T) {
	s := newSite(t)
	s.write("long.yaml", "name: long\nimage: busybox\ncommand: [sh, -c, \"seq 200000; echo Needle >&2; echo end\"]\n")
	if a := s.run("run", "long.yaml"); a.status != 0 || strings.Count(a.out, "\n") != 200_001 || a.err != "Needle\n" {
		t.Fatalf("status %d, %d lines, %q", a.status, strings.Count(a.out, "\n"), a.err)
	}
	id := s.latestRun()
	last := s.run("logs", id, "--tail", "2")
	if last.status != 0 || strings.Count(last.out+last.err, "\n") != 2 {
		t.Errorf("the last two lines: %+v", last)
	}
	if a := s.run("logs", id, "--tail", "2", "-f", "-q"); a != last {
		t.Errorf("the last two lines of a run that is followed: %+v, want %+v", a, last)
	}
	if out := s.must("logs", id, "--tail", "0", "-q"); out != "" {
		t.Errorf("no lines of the log: %q", out)
	}
	if a := s.run("logs", id, "--tail", "0", "-f", "-q"); a.status != 0 || a.out != "" {
		t.Errorf("what follows the end of a log: %+v", a)
	}
	for _, wrong := range []string{"-1", "5001"} {
		if a := s.run("logs", id, "--tail", wrong); a.status != 125 || !strings.Contains(a.err, "--tail "+wrong+" is not a number from 0 to 5000") {
			t.Errorf("--tail %s: %+v", wrong, a)
		}
	}
	if out := s.must("logs", id, "--find", "needle"); !strings.HasSuffix(out, ": Needle\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("found %q", out)
	}
	if out := s.must("logs", id, "--find", "19999"); strings.Count(out, "\n") != 12 || !strings.Contains(out, "19999: 19999\n") { // also 119999, and 199990 to 199999
		t.Errorf("found %q", out)
	}
}

// TestLeave leaves a run by two Ctrl-C: it goes on to its end.
func TestLeave(t *testing.T) {
	s := newSite(t)
	s.write("slow.yaml", "name: slow\nimage: busybox\ncommand: [sh, -c, \"trap 'sleep 1; echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done\"]\n")
	c := s.mayfly("run", "slow.yaml")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	c.Stderr = &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "up" {
		t.Fatalf("the tool printed %q", lines.Text())
	}
	for range 2 {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	_ = c.Wait() // the status is compared
	if status := c.ProcessState.ExitCode(); status != 130 || !strings.Contains(errOut.String(), "left; the run goes on: mayfly logs -f ") {
		t.Errorf("status %d, %s", status, &errOut)
	}
	id := s.latestRun()
	if a := s.run("logs", "-f", id); a.status != 130 || a.out != "up\nbye\n" {
		t.Errorf("the run that was left: %+v", a)
	}
}

// TestTokens has each role do what it may, and no more.
func TestTokens(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\ncommand: [\"true\"]\n")
	s.must("tool", "push", "t.yaml")
	push, execute, look, tokens := []string{"tool", "push", "t.yaml"}, []string{"run", "t"}, []string{"runs"}, []string{"token", "ls"}
	for role, may := range map[string]map[string]bool{
		"viewer":   {"look": true},
		"operator": {"look": true, "run": true},
		"author":   {"look": true, "run": true, "push": true},
		"admin":    {"look": true, "run": true, "push": true, "tokens": true},
	} {
		token := strings.TrimSpace(s.must("token", "create", role+"-1", "--role", role))
		as := func(args ...string) answer {
			c := s.mayfly(append(args, "--server", s.url)...)
			c.Env = append(c.Env, "MAYFLY_TOKEN="+token)
			var out, errOut bytes.Buffer
			c.Stdout, c.Stderr = &out, &errOut
			_ = c.Run() // the status is compared
			return answer{out.String(), errOut.String(), c.ProcessState.ExitCode()}
		}
		for name, args := range map[string][]string{"look": look, "run": execute, "push": push, "tokens": tokens} {
			a := as(args...)
			if may[name] && a.status != 0 || !may[name] && (a.status != 125 || !strings.Contains(a.err, "the token "+role+"-1 has "+role)) {
				t.Errorf("%s, %s: %+v", role, name, a)
			}
		}
		if a := as("runs", "--project", "other"); a.status != 125 || !strings.Contains(a.err, "is for the project default, and this needs a token for the project other") {
			t.Errorf("%s in another project: %+v", role, a)
		}
		if out := s.must("token", "rm", role+"-1"); out != role+"-1\n" {
			t.Errorf("rm: %q", out)
		}
		if a := as(look...); a.status != 125 || !strings.Contains(a.err, "the token is unknown, has expired or is revoked") {
			t.Errorf("%s, after its end: %+v", role, a)
		}
	}
	const hint = "mayfly: tokens for all projects and of runners: mayfly token ls --all-projects\n"
	if a := s.run("token", "ls"); a.status != 0 || strings.Contains(a.out, "admin") || a.err != hint {
		t.Errorf("the project's tokens: %+v", a)
	}
	if a := s.run("token", "ls", "--all-projects"); a.status != 0 || !strings.Contains(a.out, "\nadmin ") || a.err != "" {
		t.Errorf("all tokens: %+v", a)
	}
	if a := s.run("token", "ls", "--json"); a.status != 0 || a.err != "" {
		t.Errorf("as JSON: %+v", a)
	}
}

// TestDrainOwnRunner drains the runner in the server: the server serves on, ends at TERM, and its runner takes runs when it is started
// again.
func TestDrainOwnRunner(t *testing.T) {
	s := newSite(t)
	s.write("quick.yaml", "name: quick\nimage: busybox\ncommand: [echo, hello]\n")
	s.must("runner", "drain", "here")
	eventually(t, "the runner has ended", func() bool {
		return strings.Contains(s.run("run", "quick.yaml", "--detach").err, "no runner of the pool default is connected")
	})
	s.stop()
	s.start()
	if a := s.run("run", "quick.yaml"); a.status != 0 || a.out != "hello\n" {
		t.Errorf("after the start: %+v", a)
	}
}
