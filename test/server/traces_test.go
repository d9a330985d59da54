//go:build linux

package server

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/trace/tracetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestTraces has runs on the server's own runner and on one in another process, and a workflow. Each is one trace, and nothing that a run
// is given or prints is in it.
func TestTraces(t *testing.T) {
	const canary = "canary-f00d-1b3a"
	got := tracetest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", got.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	s := newSite(t)
	c := s.mayfly("secret", "set", "token")
	c.Stdin = strings.NewReader(canary)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("set: %q, %v", out, err)
	}
	s.write("t.yaml", `name: t
image: busybox
args: [{name: who}]
environment: [TOKEN=/secrets/token, VAR=canary-variable]
command: [sh, -c, "echo canary-log $TOKEN $WHO $VAR $MORE; exit 3"]
`)
	s.write("flow.yaml", `name: flow
workflow:
  - {name: make, tool: {image: busybox, command: [sh, -c, "echo WORD=canary-output > $MAYFLY_OUTPUT"], outputs: [WORD]}}
  - {name: use, tool: {image: busybox, args: [{name: word}], command: [sh, -c, "echo $WORD"]}, inputs: {word: "${make.WORD}"}}
`)
	s.must("tool", "push", "t.yaml", "flow.yaml")
	remote := s.remoteRunner("build")
	service := map[string]string{"default": "mayfly-server", "build": "mayfly-runner"}
	for pool, runner := range service {
		id := strings.TrimSpace(s.must("run", "t", "--pool", pool, "--arg", "who=canary-input", "--env", "MORE=canary-more", "--detach"))
		if a := s.run("logs", "-f", id); a.status != 3 || !strings.HasPrefix(a.out, "canary-log *** canary-input") {
			t.Errorf("on the pool %s: %+v", pool, a)
		}
		spans := got.Wait(id, strings.ReplaceAll(`run (mayfly-server) failed
  queued (mayfly-server)
  attempt (RUNNER) failed
    creating (RUNNER)
    running (RUNNER)
`, "RUNNER", runner))
		for _, one := range spans {
			if one.Name == "run" && (one.Attributes["mayfly.run"] != id || one.Attributes["mayfly.tool"] != "t" || one.Attributes["mayfly.exit_code"] != "3" || !one.Failed) {
				t.Errorf("%+v", one)
			}
		}
		id = strings.TrimSpace(s.must("run", "flow", "--pool", pool, "--detach"))
		if a := s.run("logs", "-f", id); a.status != 0 {
			t.Errorf("the workflow on the pool %s: %+v", pool, a)
		}
		step := strings.ReplaceAll(`    queued (mayfly-server)
    attempt (RUNNER) succeeded
      creating (RUNNER)
      running (RUNNER)
`, "RUNNER", runner)
		got.Wait(id, "run (mayfly-server) succeeded\n  run (mayfly-server) make succeeded\n"+step+"  run (mayfly-server) use succeeded\n"+step)
	}
	s.drain("build", remote)
	terminate(s.process)
	operations := map[string]bool{}
	for _, one := range got.Spans() {
		if one.Kind == "server" {
			operations[one.Name] = true
		}
	}
	for _, name := range []string{"create-run", "set-secret", "follow-run", "runner-messages", "runner-report"} {
		if !operations[name] {
			t.Errorf("no span of %s; there are %v", name, operations)
		}
	}
	for _, text := range []string{canary, "canary"} {
		if bytes.Contains(got.Raw(), []byte(text)) {
			t.Errorf("a span has %q", text)
		}
	}
}

// TestNoTracesWithoutConfiguration listens where the exporter sends by default. If the machine has a receiver there, only the log is looked at.
func TestNoTracesWithoutConfiguration(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:4318")
	if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	if l != nil {
		accepting.Go(func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
				t.Error("the server connects to a receiver of traces that nobody has named")
			}
		})
		defer accepting.Wait()
		defer l.Close()
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	t.Setenv("OTEL_SERVICE_NAME", "alone")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\ncommand: [\"true\"]\n")
	s.must("run", "t.yaml")
	terminate(s.process)
	if strings.Contains(s.log.String(), "traces") {
		t.Errorf("the log speaks of traces: %s", s.log)
	}
}

// TestAReceiverThatHangs delays neither runs nor the end of the server for long, and the log names it.
func TestAReceiverThatHangs(t *testing.T) {
	url, asked := tracetest.Broken(t, 0)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000") // so that who waits for it is noticed on any machine
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
	s := newSite(t)
	<-asked
	s.write("t.yaml", "name: t\nimage: busybox\ncommand: [echo, out]\n")
	began := time.Now()
	if a := s.run("run", "t.yaml"); a.status != 0 || a.out != "out\n" {
		t.Errorf("%+v", a)
	}
	if took := time.Since(began); took > testbed.Patience {
		t.Errorf("a run took %v", took)
	}
	began = time.Now()
	terminate(s.process)
	if took := time.Since(began); took > testbed.Patience {
		t.Errorf("the end took %v", took)
	}
}
