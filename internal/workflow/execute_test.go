package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/runtest"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a Runner whose tools are functions, by the names of their steps.
type scripted struct {
	tools map[string]func(ctx context.Context, req *run.Request) *run.Result

	mu   sync.Mutex
	runs []string
}

func (s *scripted) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	s.mu.Lock()
	s.runs = append(s.runs, req.Tool.Name)
	s.mu.Unlock()
	result := &run.Result{Status: run.Succeeded}
	if f := s.tools[req.Tool.Name]; f != nil {
		result = f(ctx, req)
	}
	watch.Emit(run.Event{Result: result})
	return result, nil
}

func outputs(pairs ...string) func(context.Context, *run.Request) *run.Result {
	return func(context.Context, *run.Request) *run.Result {
		return &run.Result{Status: run.Succeeded, Outputs: succeed(pairs...).Outputs}
	}
}

func exit(code int) func(context.Context, *run.Request) *run.Result {
	return func(context.Context, *run.Request) *run.Result {
		return &run.Result{Status: run.Failed, ExitCode: code, Reason: fmt.Sprintf("exit status %d", code)}
	}
}

// untilCancelled returns a tool that runs until its context ends. It closes began when it starts.
func untilCancelled(began chan<- struct{}) func(context.Context, *run.Request) *run.Result {
	return func(ctx context.Context, _ *run.Request) *run.Result {
		close(began)
		<-ctx.Done()
		return &run.Result{Status: run.Cancelled, ExitCode: 130, Reason: "cancelled"}
	}
}

// executor returns an Executor whose runner gets only what a message carries, as on another machine.
func executor(r run.Runner) *Executor {
	return &Executor{Runner: runtest.OverJSON(r), Conditions: &cel.Evaluator{}}
}

func collect(events *[]run.Event) func(run.Event) {
	return func(e run.Event) { *events = append(*events, e) }
}

// summary returns how the steps of a result and the workflow ended.
func summary(r *run.Result) string {
	var words []string
	for _, s := range r.Steps {
		words = append(words, s.Step+"="+string(s.Status))
	}
	return strings.Join(words, " ") + fmt.Sprintf(" -> %s %d", r.Status, r.ExitCode)
}

func TestExecuteHandsOutputsOn(t *testing.T) {
	p := NewPlan(parse(t, `
inputs: [{name: who, default: you}]
environment: {ALL: "for ${inputs.who}"}
workflow:
- {name: a, tool: T, outputs: [R]}
- {name: b, tool: T, inputs: {IN: "got ${a.R}", LIST: ["${a.R}", 1]}, environment: {OWN: "${a.exit_code}"}}
`), map[string]any{"who": "me"})
	value := "quotes ' \" \n ${inputs.who} $(date) `x` \\ {a: b}"
	var got *run.Request
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{
		"a": outputs("R", value, "UNASKED", "x"),
		"b": func(_ context.Context, req *run.Request) *run.Result {
			got = req
			return &run.Result{Status: run.Succeeded}
		},
	}}
	var events []run.Event
	result, err := executor(r).Run(t.Context(), p, Options{ID: "r", Emit: collect(&events)})
	if err != nil || summary(result) != "a=succeeded b=succeeded -> succeeded 0" {
		t.Fatalf("%s, %v", summary(result), err)
	}
	if got.Inputs["IN"] != "got "+value {
		t.Errorf("got the input %q, want %q", got.Inputs["IN"], "got "+value)
	}
	if list := got.Inputs["LIST"].([]any); list[0] != value || fmt.Sprint(list[1]) != "1" {
		t.Errorf("the list is %v", list)
	}
	var env []string
	for _, v := range slices.Concat(got.Shared, []tool.EnvVar{{Name: "--"}}, got.Environment) {
		env = append(env, v.Name+"="+v.Value)
	}
	if want := []string{"ALL=for me", "--=", "OWN=0"}; !slices.Equal(env, want) {
		t.Errorf("got the environment %q, want %q", env, want)
	}
	for i, e := range events {
		if e.Seq != int64(i)+1 || e.Run != "r" {
			t.Errorf("event %d has seq %d and run %s", i, e.Seq, e.Run)
		}
	}
	if last := events[len(events)-1]; last.Result == nil || last.Step != "" {
		t.Errorf("the last event is %+v", last)
	}
}

func TestExecuteCancelled(t *testing.T) {
	p := NewPlan(parse(t, `{workflow: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: bye, tool: T}]}`), nil)
	began := make(chan struct{})
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": untilCancelled(began)}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	result, err := executor(r).Run(ctx, p, Options{})
	if want := "a=cancelled b=cancelled bye=succeeded -> cancelled 130"; err != nil || summary(result) != want {
		t.Errorf("got %s, %v; want %s", summary(result), err, want)
	}
}

// TestExecuteEndsBeforeItIsSeen: the end of a workflow ends its steps, and their ends may arrive first. The result is the
// same each time.
func TestExecuteEndsBeforeItIsSeen(t *testing.T) {
	for range 300 {
		for definition, want := range map[string]string{
			`{workflow: [{name: a, tool: T}, {name: b, tool: T}]}`:                 "a=cancelled b=cancelled -> cancelled 130",
			`{timeout: 100ms, workflow: [{name: a, tool: T}]}`:                     "a=cancelled -> timed_out 124",
			`{timeout: 100ms, workflow: [{name: a, tool: T}, {name: b, tool: T}]}`: "a=cancelled b=cancelled -> timed_out 124",
		} {
			p := NewPlan(parse(t, definition), nil)
			ctx, cancel := context.WithCancel(t.Context())
			if p.Workflow.Timeout > 0 {
				p.Workflow.Timeout = time.Microsecond
			}
			r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": func(ctx context.Context, _ *run.Request) *run.Result {
				if p.Workflow.Timeout == 0 {
					cancel()
				}
				<-ctx.Done()
				return &run.Result{Status: run.Cancelled, ExitCode: 130, Reason: "cancelled"}
			}}}
			result, err := executor(r).Run(ctx, p, Options{})
			cancel()
			if got := summary(result); err != nil || got != want {
				t.Fatalf("got %s, %v; want %s", got, err, want)
			}
		}
	}
}

func TestExecuteKilled(t *testing.T) {
	p := NewPlan(parse(t, `{workflow: [{name: a, tool: T}], finally: [{name: bye, tool: T}, {name: never, tool: T}]}`), nil)
	began := make(chan struct{})
	kill := make(chan struct{})
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"bye": untilCancelled(began), "never": func(ctx context.Context, _ *run.Request) *run.Result {
		if ctx.Err() == nil {
			t.Error("a step of finally still runs after the run is killed")
		}
		return &run.Result{Status: run.Cancelled, ExitCode: 130}
	}}}
	go func() {
		<-began
		close(kill)
	}()
	result, err := executor(r).Run(t.Context(), p, Options{Kill: kill})
	if want := "a=succeeded bye=cancelled never=cancelled -> cancelled 130"; err != nil || summary(result) != want {
		t.Errorf("got %s, %v; want %s", summary(result), err, want)
	}
}

func TestExecuteTimesOut(t *testing.T) {
	p := NewPlan(parse(t, `{timeout: 100ms, workflow: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: bye, tool: T, condition: failure()}]}`), nil)
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": untilCancelled(make(chan struct{}))}}
	result, err := executor(r).Run(t.Context(), p, Options{})
	if want := "a=cancelled b=cancelled bye=succeeded -> timed_out 124"; err != nil || summary(result) != want {
		t.Errorf("got %s, %v; want %s", summary(result), err, want)
	}
	if result.Reason != "timed out after 100ms" {
		t.Errorf("the reason is %q", result.Reason)
	}
}

// plainSealer marks data as sealed without keeping it secret.
type plainSealer struct{}

func (plainSealer) Seal(_ context.Context, data []byte) ([]byte, error) {
	return append([]byte("sealed"), xor(data)...), nil
}

func (plainSealer) Unseal(_ context.Context, sealed []byte) ([]byte, error) {
	return xor(sealed[len("sealed"):]), nil
}

func xor(data []byte) []byte {
	out := make([]byte, len(data))
	for i := range data {
		out[i] = data[i] ^ 0x55
	}
	return out
}

func TestJournalKeepsSecretsSealed(t *testing.T) {
	const value = "correct-horse-battery"
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, outputs: [R, S]}, {name: b, tool: T, inputs: {IN: "${a.R}"}}]`), nil)
	var got any
	var masked *run.Handed
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{
		"a": handsOn(t, value, "R", "it is "+value, "S", "plain"),
		"b": func(ctx context.Context, req *run.Request) *run.Result {
			got = req.Inputs["IN"]
			var err error
			if masked, err = run.Unseal(ctx, plainSealer{}, req.Masked); err != nil {
				t.Error(err)
			}
			return exit(1)(nil, nil)
		},
	}}
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	e := executor(r)
	e.Sealer = plainSealer{}
	if _, err := e.Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got != "it is "+value {
		t.Errorf("the next step got %q", got)
	}
	if len(masked.Masked) != 1 || string(masked.Masked[0]) != value || masked.Outputs != nil {
		t.Errorf("the next step masks %q", masked.Masked)
	}
	data, err := os.ReadFile(store.path("r"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), value) || !strings.Contains(string(data), `"sealed"`) {
		t.Errorf("the journal is\n%s", data)
	}
	j, past, err := reopen(t, store, "r")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if len(past.Masked) != 1 || string(past.Masked[0]) != value {
		t.Errorf("after the resume %q are masked", past.Masked)
	}
	if got := p.Resume(past).Steps[0].Outputs["R"]; got != "it is "+value {
		t.Errorf("after the resume the output is %q", got)
	}
	if secret.NewRedactor([]byte(value)).String(string(data)) != string(data) {
		t.Error("the journal has the secret in one of its encodings")
	}
}

// handsOn returns a tool that writes a secret into its outputs, with a result as a runner returns it.
func handsOn(t *testing.T, value string, pairs ...string) func(context.Context, *run.Request) *run.Result {
	return func(ctx context.Context, req *run.Request) *run.Result {
		result := outputs(pairs...)(ctx, req)
		handed := run.Handed{Outputs: result.Outputs, Masked: [][]byte{[]byte(value)}}
		var err error
		if result.Handed, err = handed.Seal(ctx, plainSealer{}); err != nil {
			t.Error(err)
		}
		result.Outputs = secret.NewRedactor([]byte(value)).Map(result.Outputs)
		return result
	}
}

// TestArtifactsByDigest: a step gets an artifact of an earlier step by its digest, also in a run that was resumed from its journal.
func TestArtifactsByDigest(t *testing.T) {
	const digest = "sha256:0123"
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, artifacts: [{name: x}]}, {name: b, tool: T, artifacts: [{name: x, from: a}]}]`), nil)
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	var asked []run.Artifact
	makes := func(digests map[string]string) *Executor {
		return executor(&scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{
			"a": func(_ context.Context, req *run.Request) *run.Result {
				asked = append(asked, req.Artifacts...)
				return &run.Result{Status: run.Succeeded, Artifacts: digests}
			},
			"b": func(_ context.Context, req *run.Request) *run.Result {
				asked = append(asked, req.Artifacts...)
				return exit(1)(nil, nil)
			},
		}})
	}
	if _, err := makes(map[string]string{"x": digest}).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, past, err := reopen(t, store, "r")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := makes(nil).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}, States: p.Resume(past)}); err != nil {
		t.Fatal(err)
	}
	got := run.Artifact{Name: "x", Target: "/artifacts/x", Digest: digest}
	if want := []run.Artifact{{Name: "x", Target: "/artifacts/x", Made: true}, got, got}; !slices.Equal(asked, want) {
		t.Errorf("asked for %+v, want %+v", asked, want)
	}

	// A step promises an artifact and doesn't make it.
	result, err := makes(nil).Run(t.Context(), p, Options{})
	if err != nil || result.Status != run.Error || result.Reason != "step b failed: step a didn't make the artifact x" {
		t.Errorf("%s: %s, %v", summary(result), result.Reason, err)
	}
}

// TestMasksWhileOthersRun: a secret of one step is masked and sealed in the steps that run at the same time, as soon as its
// tool has it.
func TestMasksWhileOthersRun(t *testing.T) {
	const value = "correct-horse-battery"
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, needs: []}, {name: b, tool: T, needs: [], outputs: [R]}]`), nil)
	journal := func() string {
		data, err := os.ReadFile(store.path("r"))
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
	told := make(chan struct{})
	r := runnerFunc(func(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
		if req.Step == "a" {
			sealed, err := (&run.Handed{Masked: [][]byte{[]byte(value)}}).Seal(ctx, plainSealer{})
			if err != nil {
				t.Error(err)
			}
			watch.Mask(sealed)
			close(told)
			for !strings.Contains(journal(), `"status":"succeeded"`) {
				time.Sleep(time.Millisecond)
			}
			return &run.Result{Status: run.Lost, ExitCode: run.ExitError}, nil
		}
		<-told
		return &run.Result{Status: run.Succeeded, Outputs: map[string]string{"R": "by another way: " + value}}, nil
	})
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	e := executor(r)
	e.Sealer = plainSealer{}
	result, err := e.Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}})
	if err != nil || result.Steps[1].Status != run.Succeeded {
		t.Errorf("%s, %v", summary(result), err)
	}
	if text := journal(); strings.Contains(text, value) || !strings.Contains(text, `"sealed"`) {
		t.Errorf("the journal is\n%s", text)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

type runnerFunc func(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error)

func (r runnerFunc) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	return r(ctx, req, watch)
}

// TestSealedForSomebodyElse: a result that can't be unsealed ends its step, since later steps would print secrets.
func TestSealedForSomebodyElse(t *testing.T) {
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, inputs: {IN: "${a.R}"}}]`), nil)
	changed := func(ctx context.Context, req *run.Request) *run.Result {
		result := handsOn(t, "correct-horse-battery", "R", "x")(ctx, req)
		result.Handed = result.Handed[1:]
		return result
	}
	for name, c := range map[string]struct {
		tool   func(context.Context, *run.Request) *run.Result
		sealer run.Sealer
		want   string
	}{
		"changed":   {changed, plainSealer{}, "open the run's values"},
		"no sealer": {handsOn(t, "correct-horse-battery", "R", "x"), nil, "no key to open them"},
	} {
		t.Run(name, func(t *testing.T) {
			e := executor(&scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": c.tool}})
			e.Sealer = c.sealer
			result, err := e.Run(t.Context(), p, Options{})
			if err != nil || result.Status != run.Error || result.Steps[0].Status != run.Error || !strings.Contains(result.Reason, c.want) || result.Steps[1].Status != run.Skipped {
				t.Errorf("%s: %s, %v", summary(result), result.Reason, err)
			}
		})
	}
}

// reopen opens a journal and returns it with the past of its run.
func reopen(t *testing.T, store Journals, id string) (Journal, *Past, error) {
	t.Helper()
	j, err := store.Open(id)
	if err != nil {
		return nil, nil, err
	}
	past, err := Recall(t.Context(), id, j, plainSealer{})
	if err != nil {
		return nil, nil, errors.Join(err, j.Close())
	}
	return j, past, nil
}

// TestJournalCutAnywhere: a journal can be cut at any byte, and the run can be resumed from its complete lines.
func TestJournalCutAnywhere(t *testing.T) {
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, for_each: [1, 2, 3]}, {name: c, tool: T}]`), nil)
	j, err := store.Create(Header{ID: "whole", Workflow: "w"})
	if err != nil {
		t.Fatal(err)
	}
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": outputs("R", "ü\nx"), "c": exit(1)}}
	if _, err := executor(r).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(store.path("whole"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) + 1 {
		id := fmt.Sprintf("cut%d", n)
		if err := os.WriteFile(store.path(id), []byte(strings.Replace(string(data), `"id":"whole"`, `"id":"`+id+`"`, 1)[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		j, past, err := reopen(t, store, id)
		if n <= strings.IndexByte(string(data), '\n') {
			if err == nil || !strings.Contains(err.Error(), "start the workflow again") {
				t.Fatalf("cut at %d: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		again := &scripted{}
		result, err := executor(again).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}, States: p.Resume(past), Resumed: true})
		if err != nil || result.Status != run.Succeeded {
			t.Fatalf("cut at %d: %s, %v", n, summary(result), err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		checkOnce(t, store.path(id))
		if err := os.Remove(store.path(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkOnce checks that each step succeeded exactly once according to the journal.
func checkOnce(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	succeeded := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Type == EntryStep && e.Status == run.Succeeded {
			name := e.Step
			if e.Item != nil {
				name = StepName(name, *e.Item)
			}
			succeeded[name]++
		}
	}
	for _, name := range []string{"a", "b", "b[0]", "b[1]", "b[2]", "c"} {
		if succeeded[name] != 1 {
			t.Fatalf("step %s succeeded %d times in\n%s", name, succeeded[name], data)
		}
	}
}

func TestJournalIsOneProcesss(t *testing.T) {
	store := Runs{Dir: t.TempDir()}
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := reopen(t, store, "r"); !errors.Is(err, ErrRunning) {
		t.Errorf("opened twice: got %v, want ErrRunning", err)
	}
	if err := store.Remove("r"); !errors.Is(err, ErrRunning) {
		t.Errorf("Remove of a run in progress: got %v, want ErrRunning", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Remove("r"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"../r", "", ".hidden", "a/b"} {
		if err := store.Remove(id); err == nil {
			t.Errorf("Remove(%q) succeeds", id)
		}
		if _, _, err := reopen(t, store, id); err == nil {
			t.Errorf("Open(%q) succeeds", id)
		}
	}
}

// TestJournalThatFails: a step that can't be written to the journal doesn't run, because it would run again.
func TestJournalThatFails(t *testing.T) {
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `{workflow: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: bye, tool: T}]}`), nil)
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{
		"a": func(context.Context, *run.Request) *run.Result {
			_ = j.Close()
			return &run.Result{Status: run.Succeeded}
		},
	}}
	result, err := executor(r).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}})
	if want := "a=succeeded b=cancelled bye=succeeded -> error 125"; err == nil || summary(result) != want {
		t.Errorf("got %s, %v; want %s", summary(result), err, want)
	}
}

func TestJournalThatFailsAtAStart(t *testing.T) {
	store := Runs{Dir: t.TempDir()}
	p := NewPlan(parse(t, `{parallel_tools: [{name: a, tool: T}, {name: b, tool: T}], finally: [{name: bye, tool: T}]}`), nil)
	j, err := store.Create(Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r := &scripted{}
	result, err := executor(r).Run(t.Context(), p, Options{Journal: j, JournalSealer: plainSealer{}})
	if want := "a=cancelled b=cancelled bye=succeeded -> error 125"; err == nil || summary(result) != want || !slices.Equal(r.runs, []string{"bye"}) {
		t.Errorf("got %s, %v, runs %v; want %s", summary(result), err, r.runs, want)
	}
}

func TestPrune(t *testing.T) {
	store := Runs{Dir: t.TempDir()}
	for i := range keptRuns + 3 {
		id := fmt.Sprintf("r%03d", i)
		j, err := store.Create(Header{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			defer j.Close() // in progress
			continue
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(store.ArtifactDir(id), "s"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Prune(); err != nil {
		t.Fatal(err)
	}
	list, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != keptRuns+1 || list[len(list)-1].ID != "r001" || list[len(list)-1].Status != run.Running || list[0].Status != interrupted {
		t.Errorf("got %d runs, the first %+v, the last %+v", len(list), list[0], list[len(list)-1])
	}
	if _, err := os.Stat(store.ArtifactDir("r000")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the artifacts of a pruned run: %v", err)
	}
}

func TestSelect(t *testing.T) {
	const text = `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, inputs: {I: "${a.R}"}}, {name: c, tool: T}]`
	tests := []struct {
		name string
		sel  Selection
		want string
	}{
		{"from", Selection{From: "c"}, "a=skipped b=skipped c=succeeded -> succeeded 0"},
		{"from without a needed step", Selection{From: "b"}, "step b needs ${a.R}, and --from leaves step a out; add --resume RUN, with a run in which that step succeeded"},
		{"only", Selection{Only: "a"}, "a=succeeded b=skipped c=skipped -> succeeded 0"},
		{"skip", Selection{Skip: []string{"a"}}, "a=skipped b=skipped c=succeeded -> succeeded 0"},
		{"unknown", Selection{Only: "d"}, `the workflow has no step "d"; its steps are a, b, c`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := NewPlan(parse(t, text), nil)
			s := p.NewStates()
			_, err := p.Select(s, test.sel)
			if err != nil {
				if err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				return
			}
			result, err := executor(&scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": outputs("R", "x")}}).Run(t.Context(), p, Options{States: s})
			if err != nil || summary(result) != test.want {
				t.Errorf("got  %s, %v\nwant %s", summary(result), err, test.want)
			}
		})
	}
}

// TestExecuteManyItems: of 1,000 items, as many run at once as are allowed. (test/workflow checks that memory stays flat,
// with real tools.)
func TestExecuteManyItems(t *testing.T) {
	const atOnce = 20
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, for_each: [`+strings.Repeat("x, ", 1000)+`], max_parallel: 20}]`), nil)
	full := make(chan struct{}) // closed when as many run as are allowed
	closeFull := sync.OnceFunc(func() { close(full) })
	var mu sync.Mutex
	now, most := 0, 0
	r := &scripted{tools: map[string]func(context.Context, *run.Request) *run.Result{"a": func(context.Context, *run.Request) *run.Result {
		mu.Lock()
		now++
		if most = max(most, now); now == atOnce {
			closeFull()
		}
		mu.Unlock()
		select {
		case <-full:
			time.Sleep(time.Millisecond) // so that more could start
		case <-time.After(time.Minute):
		}
		mu.Lock()
		now--
		mu.Unlock()
		return &run.Result{Status: run.Succeeded}
	}}}
	result, err := executor(r).Run(t.Context(), p, Options{})
	if err != nil || result.Steps[0].Items != 1000 || result.Status != run.Succeeded || len(r.runs) != 1000 {
		t.Fatalf("%+v, %v, %d runs", result, err, len(r.runs))
	}
	if most != atOnce {
		t.Errorf("%d items ran at once, want %d", most, atOnce)
	}
}

// TestExecuteMocked: a mocked step ends as its mock says and doesn't run.
func TestExecuteMocked(t *testing.T) {
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, condition: '${a.R} == "x"'}]`), nil)
	r := &scripted{}
	result, err := executor(r).Run(t.Context(), p, Options{Mocked: map[string]StepState{"a": succeed("R", "x")}})
	if err != nil || summary(result) != "a=succeeded b=succeeded -> succeeded 0" || !slices.Equal(r.runs, []string{"b"}) {
		t.Errorf("%s, %v, %v", summary(result), err, r.runs)
	}
}

// TestExecuteMockedIsCancelled cancels a workflow whose steps end at once: those that are still to come don't start.
func TestExecuteMockedIsCancelled(t *testing.T) {
	p := NewPlan(parse(t, `workflow: [{name: a, tool: T, for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9], max_parallel: 1}]`), nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := 0
	result, err := executor(&scripted{}).Run(ctx, p, Options{Mocked: map[string]StepState{"a": succeed()}, Emit: func(e run.Event) {
		if e.Result == nil || !strings.Contains(e.Step, "[") || e.Result.Status != run.Succeeded {
			return
		}
		if ended++; ended == 5 {
			cancel()
		}
	}})
	if err != nil || result.Status != run.Cancelled || ended != 5 {
		t.Errorf("%v after %d items, %v; want cancelled after 5", result.Status, ended, err)
	}
}
