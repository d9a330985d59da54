package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// images has every image.
type images struct{}

func (images) Lookup(ref string) (*image.Image, error) {
	return &image.Image{Reference: ref, Digest: ref + "@sha256:0"}, nil
}

func (i images) Pull(_ context.Context, ref string, _ image.PullOptions) (*image.Image, error) {
	return i.Lookup(ref)
}

func (images) Hold(context.Context, *image.Image, string) (func() error, error) {
	return func() error { return nil }, nil
}

// testHost is a host in a folder of the test, which is the current one and has a workflow: step use takes an artifact of
// step make.
func testHost(t *testing.T) *Host {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("MAYFLY_HOME", filepath.Join(dir, "home"))
	for name, text := range map[string]string{
		"make.yaml": "image: i\ncommand: [make]\nenvironment: [TOKEN=/secrets/token]\n",
		"use.yaml":  "image: i\ncommand: [use]\nargs: [{name: v}]\n",
		"flow.yaml": `inputs: [{name: v, required: true}]
workflow:
  - {name: make, tool: ./make.yaml, artifacts: [{name: app}]}
  - {name: use, tool: ./use.yaml, artifacts: [{name: app, from: make}], inputs: {v: "${inputs.v}"}}
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func load(t *testing.T) *definition.Workflow {
	t.Helper()
	def, err := definition.Load("flow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := def.Workflow.Resolve(); err != nil {
		t.Fatal(err)
	}
	return def.Workflow
}

// runner runs tools on the fake engine; use ends with a status.
func runner(t *testing.T, status int) *local.Runner {
	t.Helper()
	given, err := secret.ParseFlags([]string{"token=file:token"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("token", []byte("hunter2hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &local.Runner{
		Images: images{}, Secrets: given,
		Engine: &fake.Engine{Programs: map[string]fake.Program{
			"make": func(p *fake.Process) int {
				if err := p.WriteFile("/artifacts/app/f", []byte("made")); err != nil {
					t.Error(err)
				}
				return 0
			},
			"use": func(*fake.Process) int { return status },
		}},
	}
}

// finish takes a run from Check to Close, and returns its result.
func finish(t *testing.T, r *WorkflowRun, s workflow.Selection, runner *local.Runner) *run.Result {
	t.Helper()
	fails := func(text string) { t.Errorf("the notice %q", text) }
	if err := errors.Join(r.Check(t.Context()), r.Select(s), r.Begin(t.Context(), runner, nil, fails)); err != nil {
		t.Fatal(err)
	}
	result, err := r.Execute(t.Context(), ExecuteOptions{})
	if err := errors.Join(err, r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	return result
}

// TestWorkflowRun: a run that failed is resumed in another folder, with the definition as it is then, and takes what the steps
// before have made; one that succeeded as a whole keeps nothing.
func TestWorkflowRun(t *testing.T) {
	h := testHost(t)
	project, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.NewWorkflow(WorkflowRequest{Workflow: load(t), Inputs: map[string]any{"v": "1"}, Environment: []string{"A=b"}, Secrets: []string{"token=file:token", "other=env:OTHER"}})
	if err != nil {
		t.Fatal(err)
	}
	id := r.Header.ID
	if result := finish(t, r, workflow.Selection{}, runner(t, 3)); result.Status != run.Failed || result.ExitCode != 3 || r.Succeeded() {
		t.Fatalf("got %s %d %s, want a failure", result.Status, result.ExitCode, result.Reason)
	}
	t.Chdir(t.TempDir())

	resume := func() *WorkflowRun {
		t.Helper()
		r, err := h.Resume(t.Context(), id[:20])
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r = resume()
	want := workflow.Header{ID: id, Workflow: "flow", File: filepath.Join(project, "flow.yaml"), Dir: project, Environment: []string{"A=b"}, Secrets: []string{"token=file:" + filepath.Join(project, "token"), "other=env:OTHER"}}
	if got := r.Header; got.ID != want.ID || got.Workflow != want.Workflow || got.File != want.File || got.Dir != want.Dir || got.Inputs["v"] != "1" ||
		!slices.Equal(got.Environment, want.Environment) || !slices.Equal(got.Secrets, want.Secrets) {
		t.Errorf("the journal has\n%+v, want\n%+v", got, want)
	}
	if r.States.Steps[0].Status != run.Succeeded || r.States.Steps[1].Ended() {
		t.Errorf("the steps begin as %+v, want the first succeeded and the second to run", r.States.Steps)
	}
	if _, err := h.Resume(t.Context(), id); !errors.Is(err, workflow.ErrRunning) {
		t.Errorf("at the same time: got %v, want ErrRunning", err)
	}
	if result := finish(t, r, workflow.Selection{}, runner(t, 0)); result.Status != run.Succeeded || !result.Steps[0].Resumed {
		t.Errorf("resumed: got %s %s, steps %+v", result.Status, result.Reason, result.Steps)
	}
	if _, err := os.Stat(r.artifactDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("artifacts of a run that has succeeded: %v", err)
	}

	// Their maker has to run again.
	r = resume()
	if !r.Succeeded() {
		t.Error("the run isn't known to have succeeded")
	}
	if err := errors.Join(r.Check(t.Context()), r.Select(workflow.Selection{Only: "use"})); err != nil {
		t.Fatal(err)
	}
	err = r.Begin(t.Context(), runner(t, 0), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "step use needs the artifact app of step make, which no longer exists") {
		t.Errorf("without the artifact: got %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if result := finish(t, resume(), workflow.Selection{From: "make"}, runner(t, 0)); result.Status != run.Succeeded {
		t.Errorf("from the maker on: got %s %s", result.Status, result.Reason)
	}
	r = resume()
	defer r.Close()
	if _, err := os.Stat(r.artifactDir()); err != nil {
		t.Errorf("artifacts of a run of which only a part was selected: %v", err)
	}
	if err := r.RemoveArtifacts(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.artifactDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("artifacts after RemoveArtifacts: %v", err)
	}
}

// TestResumeRefused: what can't be resumed stays free for the next attempt, when the definition may have been fixed.
func TestResumeRefused(t *testing.T) {
	h := testHost(t)
	if _, err := h.NewWorkflow(WorkflowRequest{Workflow: load(t)}); err == nil || !strings.Contains(err.Error(), `argument "v" (string) is required`) {
		t.Errorf("without the input: got %v", err)
	}
	r, err := h.NewWorkflow(WorkflowRequest{Workflow: load(t), Inputs: map[string]any{"v": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, r, workflow.Selection{}, runner(t, 1))
	good, err := os.ReadFile("flow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, want string }{
		{"image: i\ncommand: [use]\n", "is no longer a workflow, so run " + r.Header.ID + " can't be resumed"},
		{"workflow: [{name: make, tool: ./none.yaml}]\n", "none.yaml"},
		{"inputs: [{name: w, required: true}]\nworkflow: [{name: make, tool: ./make.yaml}]\n", `argument "w"`},
		{string(good), ""},
	} {
		if err := os.WriteFile("flow.yaml", []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		resumed, err := h.Resume(t.Context(), r.Header.ID)
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: got %v, want %s", tt.text, err, tt.want)
		}
		if tt.want == "" && err != nil {
			t.Errorf("once it is good again: %v", err)
		}
		if err == nil {
			err = resumed.Close()
		}
		if tt.want == "" && err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Resume(t.Context(), "01a2ffff-none"); err == nil {
		t.Error("a run that doesn't exist is resumed")
	}
}

// TestForecast: what is known before the run, and what would make it fail, is found before anything has run.
func TestForecast(t *testing.T) {
	h := testHost(t)
	begin := func(s workflow.Selection) *WorkflowRun {
		t.Helper()
		r, err := h.NewWorkflow(WorkflowRequest{Workflow: load(t), Inputs: map[string]any{"v": "1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Select(s); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	steps, err := begin(workflow.Selection{Skip: []string{"use"}}).Forecast(t.Context(), runner(t, 0), []tool.EnvVar{{Name: "A", Value: "b"}})
	if err != nil || len(steps) != 2 {
		t.Fatalf("got %d steps, %v", len(steps), err)
	}
	if p := steps[0]; p.Runs != RunsSurely || p.Tool != "make" || p.Environment["A"] != "b" || !slices.Equal(p.Secrets, []string{"token"}) {
		t.Errorf("got %+v", p)
	}
	if p := steps[1]; p.Runs != RunsNot || p.Why != "left out by --skip" || !slices.Equal(p.After, []string{"make"}) || p.Inputs["v"] != "1" {
		t.Errorf("got %+v", p)
	}
	none := runner(t, 0)
	none.Secrets = h.Secrets()
	for name, err := range map[string]error{
		"Begin":          begin(workflow.Selection{}).Begin(t.Context(), none, nil, nil),
		"MissingSecrets": MissingSecrets(t.Context(), none.Secrets, load(t), nil),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), `step make: secret "token" not found`) {
			t.Errorf("%s without the secret: got %v", name, err)
		}
	}
	if err := MissingSecrets(t.Context(), none.Secrets, load(t), []tool.EnvVar{{Name: "TOKEN", Value: "x"}}); err != nil {
		t.Errorf("with a value for the variable: got %v", err)
	}
	if list, err := h.Runs().List(); err != nil || len(list) != 0 {
		t.Errorf("the journals %v, %v; want none", list, err)
	}
}
