//go:build linux

package server

import (
	"bufio"
	"strings"
	"syscall"
	"testing"
)

// flow has tools by name and by path, an artifact, and a step whose end depends on its input.
const flow = `name: flow
inputs: [{name: who, default: world}, {name: code, type: integer, default: 0}]
workflow:
  - {name: make, tool: greet, inputs: {who: "${inputs.who}"}, artifacts: [{name: app}]}
  - {name: each, tool: ./parts/show.yaml, inputs: {text: "${item} says ${make.GREETING}"}, for_each: [a, b], max_parallel: 1}
  - name: use
    tool: {image: busybox, args: [{name: code, type: integer}], script: "cat /artifacts/app/f; exit $CODE"}
    inputs: {code: "${inputs.code}"}
    artifacts: [{name: app, from: make}]
finally:
  - {name: last, tool: ./parts/show.yaml, inputs: {text: "make ${make.status}"}}
`

func (s *site) writeFlow() {
	s.t.Helper()
	s.write("flow.yaml", flow)
	s.write("tools/greet.yaml", "image: busybox\nargs: [{name: who}]\noutputs: [GREETING]\nscript: |\n  echo \"GREETING=hello $WHO\" >>$MAYFLY_OUTPUT\n  echo made >/artifacts/app/f\n")
	s.write("parts/show.yaml", "image: busybox\nargs: [{name: text}]\nscript: {file: show.sh}\n")
	s.write("parts/show.sh", "echo \"$TEXT\"\n")
}

// TestWorkflow: a workflow on a server prints, ends and is resumed as one on this machine, by file and, once it is pushed, by name.
func TestWorkflow(t *testing.T) {
	s := newSite(t)
	s.writeFlow()
	const out = "each[0] | a says hello team\neach[1] | b says hello team\nuse | made\nlast | make succeeded\n"
	here := s.run("run", "flow.yaml", "--server", "local", "--arg", "who=team", "--arg", "code=3")
	if here.status != 3 || here.out != out {
		t.Fatalf("on this machine: %+v", here)
	}
	there := s.run("run", "flow.yaml", "--arg", "who=team", "--arg", "code=3")
	if there.status != 3 || there.out != out {
		t.Errorf("on the server: %+v", there)
	}
	if a := s.run("tool", "push", "flow.yaml"); a.status != 125 || !strings.Contains(a.err, `flow.yaml:4:24: the tool of step "make": neither the workflow's folder nor the project default has the tool greet; push it first`) {
		t.Errorf("push without its tool: %+v", a)
	}
	if got := s.must("tool", "push", "flow.yaml", "tools/greet.yaml"); !strings.HasPrefix(got, "greet version 1: 0 of 1 files sent") || !strings.Contains(got, "flow version 1: 0 of 3 files sent") {
		t.Errorf("push: %q", got)
	}
	if got, want := s.must("graph", "flow", "--server", s.url), s.must("graph", "flow.yaml"); got != want {
		t.Errorf("the server's graph is %q, want %q", got, want)
	}
	for _, arg := range []string{"flow", "flow@1", "flow.yaml", "tools/greet.yaml"} {
		if got := s.must("validate", arg, "--server", s.url); got != arg+": ok\n" {
			t.Errorf("validate %s: %q", arg, got)
		}
	}
	if a := s.run("run", "flow", "--arg", "who=team"); a.status != 0 || a.out != out {
		t.Errorf("by name: %+v", a)
	}
	id := s.latestRun()
	if list := s.must("artifacts", id); strings.Count(list, "\n") != 2 || !strings.Contains(list, "app    make   ") {
		t.Errorf("the artifacts: %q", list)
	}
	if archive := s.must("artifacts", id, "app", "-o", "-"); !strings.Contains(archive, "made\n") {
		t.Errorf("the artifact has %d bytes", len(archive))
	}
	_, hint, _ := strings.Cut(there.err, "to continue: mayfly ")
	a := s.run(strings.Fields(hint)...)
	if a.status != 3 || a.out != "use | made\nlast | make succeeded\n" || !strings.Contains(a.err, "succeeded before") {
		t.Errorf("resumed: %+v", a)
	}
	if a := s.run("run", "flow", "--only", "make", "--json"); a.status != 0 || strings.Contains(a.out, `"step":"each[`) || strings.Contains(a.out, `"left out by --only","started"`) {
		t.Errorf("one step: %+v", a)
	}
}

// TestWorkflowOutlivesTheServer kills the server, and its runner with it, while a step runs: the step is lost, and nothing else is.
func TestWorkflowOutlivesTheServer(t *testing.T) {
	s := newSite(t)
	s.write("flow.yaml", `workflow:
  - {name: first, tool: {image: busybox, command: [echo, one]}}
  - {name: gate, tool: {image: busybox, script: "echo up; sleep 300"}}
finally:
  - {name: last, tool: {image: busybox, command: [echo, last]}}
`)
	c := s.mayfly("run", "flow.yaml")
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() && lines.Text() != "gate | up" {
	}
	// What mayfly server has become is mayflyd.
	if err := s.process.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.process.Wait()
	s.start()
	rest := ""
	for lines.Scan() {
		rest += lines.Text() + "\n"
	}
	_ = c.Wait() // the status is compared
	if status := c.ProcessState.ExitCode(); rest != "last | last\n" || status != 125 {
		t.Errorf("status %d, then it printed %q", status, rest)
	}
	if got := s.must("logs", s.latestRun()); got != "first | one\ngate | up\nlast | last\n" {
		t.Errorf("the log is %q", got)
	}
}

// latestRun returns the id of the project's latest run.
func (s *site) latestRun() string {
	s.t.Helper()
	list := s.must("runs")
	lines := strings.Split(list, "\n")
	if len(lines) < 3 { // the head, and what follows the last line
		s.t.Fatalf("no run in %q", list)
	}
	return strings.Fields(lines[1])[0]
}
