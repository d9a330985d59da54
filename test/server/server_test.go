//go:build linux

// Package server tests the server, its runner and the command line together, with the built programs and real sandboxes.
package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// site is a server with a runner, and a user's folder and home.
type site struct {
	t               *testing.T
	data, home, dir string
	url             string
	flags           []string               // of the server
	prepare         func(server *exec.Cmd) // before it starts, or nil
	process         *exec.Cmd
	log             *testbed.Output
}

// newSite starts a server with a runner, and logs in.
func newSite(t *testing.T, flags ...string) *site {
	t.Helper()
	return newServer(t, append([]string{"--with-runner", "--name", "here"}, flags...)...)
}

// newServer starts a server without a runner, and logs in.
func newServer(t *testing.T, flags ...string) *site {
	t.Helper()
	return serverAt(t, filepath.Join(t.TempDir(), "data"), flags...)
}

// serverAt is newServer with a folder for the server's data.
func serverAt(t *testing.T, data string, flags ...string) *site {
	t.Helper()
	s := &site{t: t, flags: flags, data: data, home: filepath.Join(t.TempDir(), "home"), dir: t.TempDir()}
	s.begin()
	return s
}

// replica returns a server that doesn't run yet. It has the keys, the certificate and the token of another one, unless that is nil.
func replica(t *testing.T, of *site, flags ...string) *site {
	t.Helper()
	s := &site{t: t, flags: flags, data: filepath.Join(t.TempDir(), "data"), home: filepath.Join(t.TempDir(), "home"), dir: t.TempDir()}
	if of != nil {
		command(t, "cp", "-a", of.data, s.data)
	}
	return s
}

// begin starts the server, and logs in.
func (s *site) begin() {
	s.t.Helper()
	s.loadImages()
	s.start()
	s.must("login", s.url, "--token-file", filepath.Join(s.data, "admin-token"))
	s.must("context", "use", strings.TrimPrefix(s.url, "https://"))
}

// loadImages puts busybox into the user's home.
func (s *site) loadImages() {
	t := s.t
	t.Helper()
	store, err := image.Open(filepath.Join(s.home, "images"), image.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	archive := imagetest.DockerArchive(t, "busybox:latest", imagetest.Config{Env: []string{"PATH=/bin"}}, imagetest.BusyboxLayer(t))
	if _, err := store.Load(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
}

// start starts the server, on the port that it had before, if any.
func (s *site) start() {
	s.t.Helper()
	listen := "127.0.0.1:0"
	if s.url != "" {
		listen = strings.TrimPrefix(s.url, "https://")
	}
	s.process = s.mayfly(append([]string{"server", "--data", s.data, "--listen", listen}, s.flags...)...)
	s.log = &testbed.Output{}
	s.process.Stderr = s.log
	if s.prepare != nil {
		s.prepare(s.process)
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	process := s.process
	s.t.Cleanup(func() {
		terminate(process)
		if s.t.Failed() {
			s.t.Logf("the server's log:\n%s", s.log)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listens at "); ok {
			s.url = url
		}
		if strings.HasPrefix(lines.Text(), "Log in: ") {
			return
		}
	}
	s.t.Fatalf("the server doesn't start: %s", s.log)
}

// mayfly returns the command, in the user's folder.
func (s *site) mayfly(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(testbed.Bin(s.t), "mayfly"), args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "MAYFLY_HOME="+s.home)
	return c
}

// answer is how a command ended.
type answer struct {
	out, err string
	status   int
}

func (s *site) run(args ...string) answer {
	s.t.Helper()
	c := s.mayfly(args...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil && c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return answer{out.String(), errOut.String(), c.ProcessState.ExitCode()}
}

func (s *site) must(args ...string) string {
	s.t.Helper()
	a := s.run(args...)
	if a.status != 0 {
		s.t.Fatalf("mayfly %s: status %d\n%s%s", strings.Join(args, " "), a.status, a.out, a.err)
	}
	return a.out
}

func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

const hello = `name: hello
image: busybox
args: [{name: who, default: you}, {name: code, type: integer, default: 0}]
script: {file: hello.sh}
volumes: [{name: motd, file: motd.txt, mount_path: /motd}]
`

// TestFirstSteps is what the README shows: a tool is pushed, run by name and by file, and its output, events and exit status
// are those of a run on this machine.
func TestFirstSteps(t *testing.T) {
	s := newSite(t)
	s.write("hello.yaml", hello)
	s.write("hello.sh", "#!/bin/sh\necho \"hello $WHO\"\ncat /motd\necho problem >&2\nexit $CODE\n")
	s.write("motd.txt", "good news\n")
	if out := s.must("tool", "push", "hello.yaml"); out != "hello version 1: 3 of 3 files sent, 262B\n" {
		t.Errorf("push: %q", out)
	}
	if out := s.must("tool", "push", "hello.yaml"); out != "hello version 1 has these files already\n" {
		t.Errorf("push again: %q", out)
	}
	s.write("motd.txt", "better news\n")
	if out := s.must("tool", "push", "hello.yaml", "-m", "better"); out != "hello version 2: 1 of 3 files sent, 12B\n" {
		t.Errorf("push a change: %q", out)
	}
	if out := s.must("tool", "ls"); !strings.Contains(out, "hello  2        tool") {
		t.Errorf("list: %q", out)
	}
	here := s.run("run", "hello.yaml", "--server", "local", "--arg", "who=team", "--arg", "code=7")
	if here.status != 7 || here.out != "hello team\nbetter news\n" || !strings.Contains(here.err, "problem\n") {
		t.Fatalf("on this machine: %+v", here)
	}
	for name, what := range map[string]string{"by name": "hello", "by file": "hello.yaml"} {
		t.Run(name, func(t *testing.T) {
			if there := s.run("run", what, "--arg", "who=team", "--arg", "code=7"); there != here {
				t.Errorf("on the server: %+v\non this machine: %+v", there, here)
			}
		})
	}
	t.Run("by image", func(t *testing.T) {
		command := []string{"--image", "busybox", "--", "sh", "-c", "echo out; echo problem >&2; exit 3"}
		here := s.run(append([]string{"run", "--server", "local"}, command...)...)
		if there := s.run(append([]string{"run"}, command...)...); there != here || there.status != 3 || there.out != "out\n" {
			t.Errorf("on the server: %+v\non this machine: %+v", there, here)
		}
	})
	s.sameEvents(s.run("run", "hello", "--json").out, s.run("run", "hello.yaml", "--json", "--server", "local").out)
}

// sameEvents compares the events of two runs: the output of each stream, and the kinds of all others.
func (s *site) sameEvents(there, here string) {
	s.t.Helper()
	told := func(text string) (kinds []string, output map[string]string) {
		output = map[string]string{}
		for line := range strings.Lines(text) {
			var e struct{ Type, State, Stream, Data, Status string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				s.t.Fatalf("%q: %v", line, err)
			}
			switch e.Type {
			case "metric": // there are as many as the run takes seconds
			case "log": // the pieces, and the order of the two streams, are chance
				output[e.Stream] += e.Data
			default:
				kinds = append(kinds, e.Type+" "+e.State+e.Status)
			}
		}
		return kinds, output
	}
	wantKinds, wantOutput := told(here)
	kinds, output := told(there)
	if !slices.Equal(kinds, wantKinds) || !maps.Equal(output, wantOutput) || len(output) != 2 {
		s.t.Errorf("on the server %q %q, on this machine %q %q", kinds, output, wantKinds, wantOutput)
	}
}

// TestCancel ends a run by Ctrl-C of the command that follows it.
func TestCancel(t *testing.T) {
	s := newSite(t)
	s.write("sleep.yaml", "name: sleep\nimage: busybox\ncommand: [sh, -c, \"trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done\"]\n")
	c := s.mayfly("run", "sleep.yaml")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "up" {
		t.Fatalf("the tool printed %q", lines.Text())
	}
	begin := time.Now()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "bye" {
		t.Errorf("after Ctrl-C the tool printed %q", lines.Text())
	}
	// It takes milliseconds, but no test knows how fast its machine is: TestCancelIsSent in internal/server checks without a clock that a
	// cancel is sent, and doesn't wait for a heartbeat.
	if took := time.Since(begin); took > patience {
		t.Errorf("cancelled after %s", took)
	}
	_ = c.Wait() // the status is compared
	if status := c.ProcessState.ExitCode(); status != 130 {
		t.Errorf("status %d, want 130", status)
	}
}

// TestMistakes has what a user does wrong, and what it says.
func TestMistakes(t *testing.T) {
	s := newSite(t)
	s.write("bad.yaml", "name: bad\nimage: busybox\ncomand: [true]\n")
	s.write("ok.yaml", "name: ok\nimage: busybox\nargs: [{name: n, type: integer, required: true}]\ncommand: [\"true\"]\n")
	s.must("tool", "push", "ok.yaml")
	local := s.run("run", "ok.yaml", "--server", "local", "--arg", "n=x")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown tool": {[]string{"run", "nothing"}, "mayfly: there is no tool nothing; look at the list, and check the project\n"},
		"wrong input":  {[]string{"run", "ok", "--arg", "n=x"}, local.err},
		"definition":   {[]string{"run", "bad.yaml"}, s.run("run", "bad.yaml", "--server", "local").err},
		"push":         {[]string{"tool", "push", "bad.yaml"}, s.run("validate", "bad.yaml").err},
		"terminal":     {[]string{"run", "ok", "-it"}, "--interactive is for runs on this machine: a run on a server goes on without this command"},
		"no server":    {[]string{"tool", "ls", "--server", "local"}, "no server is chosen"},
		"other server": {[]string{"tool", "ls", "--server", "https://127.0.0.1:1"}, "there is no token for https://127.0.0.1:1; log in: mayfly login https://127.0.0.1:1 --token-file FILE"},
		"project":      {[]string{"tool", "ls", "--project", "No Such"}, "path.project: "},
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.run(c.args...); a.status != 125 || c.want == "" || !strings.Contains(a.err, c.want) {
				t.Errorf("status %d, %q, want %q", a.status, a.err, c.want)
			}
		})
	}
}

// TestRestart kills the server and its runner while a tool runs: its run ends as lost as soon as the runner is started again, and
// whoever follows it is told.
func TestRestart(t *testing.T) {
	s := newSite(t)
	s.write("sleep.yaml", "name: sleep\nimage: busybox\ncommand: [sh, -c, \"echo up; sleep 1000\"]\n")
	c := s.mayfly("run", "sleep.yaml")
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
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.process.Wait()
	s.start()
	end := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
	defer end.Stop()
	_ = c.Wait()
	if status := c.ProcessState.ExitCode(); status != 125 || !strings.Contains(errOut.String(), "the runner here was started again while it had the run") {
		t.Errorf("status %d, %s", status, errOut.String())
	}
	s.write("true.yaml", "name: t\nimage: busybox\ncommand: [\"true\"]\n")
	s.must("run", "true.yaml") // its start removes what was left, if the runner's start was too early
	if a := s.run("run", "sleep.yaml", "--detach"); a.status != 0 || len(a.out) != 37 {
		t.Errorf("after the restart: %+v", a)
	}
}
