package testrun

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// images is a store to which every image must be pulled.
type images struct{}

func (images) Lookup(string) (*image.Image, error) { return nil, image.ErrNotFound }

func (images) Pull(_ context.Context, ref string, _ image.PullOptions) (*image.Image, error) {
	return &image.Image{Reference: ref, Digest: "example/" + ref + "@sha256:0"}, nil
}

func (images) Hold(context.Context, *image.Image, string) (func() error, error) {
	return func() error { return nil }, nil
}

// request is a run of tests of a tool with a file of tests.
func request(t *testing.T, trees content.Store, text string, names ...string) *run.Request {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x_test.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.mocks.yaml"), []byte("http: [{path: /a, times: 2}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := trees.Pack(t.Context(), dir, []string{"x_test.yaml", "x.mocks.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	one, err := tool.Parse("x.yaml", []byte("name: x\nimage: i\ncommand: [x]\nargs: [{name: how, default: ''}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &run.Request{ID: "r", Project: "p", Tests: &run.Tests{Tool: one, File: "x_test.yaml", Files: digest, Names: names, Timeout: time.Minute}}
}

func runner(t *testing.T, program fake.Program) *Runner {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	return &Runner{Runner: &local.Runner{Images: images{}, Engine: &fake.Engine{Programs: map[string]fake.Program{"x": program}}, Places: local.Places{Content: content.Store(t.TempDir())}}}
}

// logOf is what the events of a run say.
func logOf(events []run.Event) string {
	var b strings.Builder
	for _, e := range events {
		if e.Log != nil {
			fmt.Fprintf(&b, "%s: %s", e.Log.Stream, e.Log.Bytes())
		}
	}
	return b.String()
}

// TestLog has what tools print in the log, also what they haven't ended with a line's end, and what is pulled.
func TestLog(t *testing.T) {
	r := runner(t, func(p *fake.Process) int {
		fmt.Fprint(p.Stdout, "out")
		fmt.Fprint(p.Stderr, "err")
		return len(p.Getenv("HOW"))
	})
	var events []run.Event
	req := request(t, r.Content, "tool: x\ntests: [{name: a}, {name: b, inputs: {how: bad}}]\n", "a", "b")
	res, err := r.Run(t.Context(), req, run.Watch{Emit: func(e run.Event) { events = append(events, e) }})
	if err != nil || res.Status != run.Failed || res.Reason != "1 of 2 tests failed; the first is b" {
		t.Errorf("%+v, %v", res, err)
	}
	log := logOf(events)
	for _, want := range []string{"stderr: mayfly: pulling i\n", "stdout: out\nstdout: ::endgroup::\n", "err\n", "stdout: ::group::b\n", "FAIL  b (", "1 passed, 1 failed in "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, os.TempDir()) {
		t.Errorf("the log is %q", log)
	}
	for i, e := range events {
		if e.Seq != int64(i)+1 || e.Run != "r" {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	if last := events[len(events)-1]; last.Result == nil || last.Result.Status != res.Status || events[len(events)-2].State == nil {
		t.Errorf("the last event is %+v", last)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestPlaces names places by paths in the folder of the files, which is gone when anyone reads them.
func TestPlaces(t *testing.T) {
	r := runner(t, func(*fake.Process) int { return 0 })
	var events []run.Event
	req := request(t, r.Content, "tool: x\nmocks: x.mocks.yaml\ntests: [{name: a}]\n", "a")
	if _, err := r.Run(t.Context(), req, run.Watch{Emit: func(e run.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil || strings.Contains(string(data), os.TempDir()) || e.Other != nil && !strings.Contains(string(data), "x.mocks.yaml http[0] (x.mocks.yaml:1:8) answered 0 of the 2") {
			t.Errorf("%s, %v", data, err)
		}
	}
}

// TestWorkflow tests a workflow with the tools that were sent: what files beside it say of them is not asked.
func TestWorkflow(t *testing.T) {
	var at atomic.Int32
	var together atomic.Bool
	r := runner(t, func(p *fake.Process) int {
		if at.Add(1) > 1 {
			together.Store(true)
		}
		time.Sleep(20 * time.Millisecond) // what may run beside it begins meanwhile
		at.Add(-1)
		fmt.Fprintln(p.Stdout, "sent", p.Getenv("HOW"))
		return 0
	})
	req := request(t, r.Content, "workflow: flow.yaml\ntests: [{name: a, steps: {c: {stdout: mocked}}, expect: {stdout: {contains: [sent 1, mocked]}, steps: {a: succeeded, c: succeeded}}}]\n", "a")
	dir := t.TempDir()
	if err := r.Content.Unpack(t.Context(), req.Tests.Files, dir); err != nil {
		t.Fatal(err)
	}
	flow := "workflow:\n  - {name: a, tool: ./gone.yaml, needs: [], inputs: {how: '1'}}\n  - {name: b, tool: {image: other, command: [other]}, needs: []}\n  - {name: c, tool: none, needs: [a, b]}\n"
	if err := os.WriteFile(filepath.Join(dir, "flow.yaml"), []byte(flow), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if req.Tests.Files, err = r.Content.Pack(t.Context(), dir, []string{"x_test.yaml", "flow.yaml"}); err != nil {
		t.Fatal(err)
	}
	policies := map[string]*policy.Policy{}
	one := req.Tests.Tool
	one.Source.Files = req.Tests.Files // any tree that the runner has
	req.Tests.Tool, req.Tests.Workflow = nil, &run.TestedWorkflow{Tools: []run.TestedTool{{Tool: one, Known: "one"}}, Steps: map[string]int{"a": 0, "b": 0, "c": 0}}
	r.PolicyFor = func(known string) *policy.Policy { return policies[known] }
	var events []run.Event
	res, err := r.Run(t.Context(), req, run.Watch{Emit: func(e run.Event) { events = append(events, e) }})
	log := logOf(events)
	if err != nil || res.Status != run.Succeeded || together.Load() || !strings.Contains(log, "stdout: sent 1\n") || !strings.Contains(log, "stdout: mocked\n") {
		t.Errorf("%+v, %v, steps together: %v:\n%s", res, err, together.Load(), log)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if policies["one"], err = policy.Parse("the project", "policy.yaml", []byte("images: ['r.example/*']")); err != nil {
		t.Fatal(err)
	}
	if res, err = r.Run(t.Context(), req, run.Watch{Emit: func(run.Event) {}}); err != nil || res.Status != run.Failed {
		t.Errorf("against the tool's policy: %+v, %v", res, err)
	}
	delete(policies, "one")
	delete(req.Tests.Workflow.Steps, "b")
	if res, err = r.Run(t.Context(), req, run.Watch{Emit: func(run.Event) {}}); err != nil || res.Status != run.Error || !strings.Contains(res.Reason, "the tool of step \"b\": it is not among") {
		t.Errorf("without a tool: %+v, %v", res, err)
	}
}

// TestTimeout ends tests that take too long together.
func TestTimeout(t *testing.T) {
	r := runner(t, func(p *fake.Process) int {
		<-p.Context.Done()
		return 1
	})
	req := request(t, r.Content, "tool: x\ntests: [{name: a}, {name: b}]\n", "a", "b")
	req.Tests.Timeout = 50 * time.Millisecond
	res, err := r.Run(t.Context(), req, run.Watch{Emit: func(run.Event) {}})
	if err != nil || res.Status != run.TimedOut || res.ExitCode != run.ExitTimedOut || res.Code != run.CodeTimedOut || res.Reason != "the tests took longer than 50ms together" {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestDamaged has files that aren't as they were when the run was accepted.
func TestDamaged(t *testing.T) {
	r := runner(t, func(*fake.Process) int { return 0 })
	for name, req := range map[string]*run.Request{
		"another test": request(t, r.Content, "tool: x\ntests: [{name: a}]\n", "b"),
		"no tests":     request(t, r.Content, "tool: [x\n", "a"),
	} {
		t.Run(name, func(t *testing.T) {
			res, err := r.Run(t.Context(), req, run.Watch{Emit: func(run.Event) {}})
			if err == nil || res.Status != run.Error || strings.Contains(res.Reason, os.TempDir()) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}
