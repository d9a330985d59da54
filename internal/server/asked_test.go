package server

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// sent is the bundle of a definition whose contents the server has.
func (r *rig) sent(t *testing.T, text string) *api.Bundle {
	t.Helper()
	b := &api.Bundle{}
	if err := json.Unmarshal([]byte(r.bundle(t, text)), b); err != nil {
		t.Fatal(err)
	}
	return b
}

const toolWithArgs = `name: t
image: busybox
command: [echo]
args:
  - {name: count, type: integer, default: 3, options: [3, 4, 5]}
  - {name: who}
environment: {PLAIN: x, TOKEN: /secrets/db}
volumes: [{name: tmp, size: 1Mi, mount_path: /scratch}]
network: [{host: example.com, ports: [443]}]
resources: {memory: 64Mi}
retry: {attempts: 3}
`

// TestRequest gets what was asked for with runs.
func TestRequest(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	c, viewer := r.client(t, RoleAdmin), r.client(t, RoleViewer)
	value := "aHVudGVyMmh1bnRlcjI=" // hunter2hunter2
	if _, err := c.SetSecret(ctx, "own", "db", "", &api.SetSecret{Value: &value}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.SetPolicy(ctx, store.Policy{Project: "own", Text: "defaults: {disk: 32Mi}\nmax: {memory: 256Mi, timeout: 2m}", SetBy: "ada"}, store.AnyVersion); err != nil {
		t.Fatal(err)
	}
	grace := 1.5
	n := &api.NewRun{
		Bundle: r.sent(t, toolWithArgs), Inputs: map[string]any{"count": 4, "who": "0755"}, Environment: map[string]string{"A": "b"}, GraceSeconds: &grace,
		Set: map[string]string{"memory": "128Mi", "cpu": "500m"}, Runner: []string{"gpu"}, Labels: map[string]string{"team": "web"}, Priority: 7,
		Concurrency: &api.Concurrency{Key: "k", Limit: 2},
	}
	one, err := c.CreateRun(ctx, "own", n)
	if err != nil {
		t.Fatal(err)
	}
	got, err := viewer.Request(ctx, "own", one.ID)
	if err != nil {
		t.Fatal(err)
	}
	d := got.Definition
	got.Definition = nil
	want := &api.RunRequest{
		Bundle: n.Bundle, Inputs: map[string]any{"count": 4.0, "who": "0755"}, Environment: n.Environment, Set: n.Set, GraceSeconds: 1.5, Pool: "default",
		Runner: n.Runner, Labels: n.Labels, Priority: 7, Concurrency: n.Concurrency,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	limits := api.ToolLimits{CPU: 0.5, MemoryBytes: 128 << 20, DiskBytes: 32 << 20, PIDs: 512, TimeoutSeconds: 120}
	if d.Limits != limits {
		t.Errorf("the limits are %+v, want %+v", d.Limits, limits)
	}
	if d.Name != "t" || d.Image != "busybox" || !slices.Equal(d.Command, []string{"echo"}) || d.Network != "list" || len(d.Egress) != 1 || !strings.Contains(d.Egress[0], "example.com") ||
		d.Retry == nil || d.Retry.Attempts != 3 || d.Retry.BackoffSeconds != 1 || !d.ReadOnly {
		t.Errorf("%+v", d)
	}
	args := []api.Arg{{Name: "count", Type: "integer", Default: 3.0, Options: []any{3.0, 4.0, 5.0}, Env: "COUNT"}, {Name: "who", Type: "string", Env: "WHO"}}
	if !reflect.DeepEqual(d.Args, args) {
		t.Errorf("the args are %+v, want %+v", d.Args, args)
	}
	if want := []api.Variable{{Name: "PLAIN", Value: "x"}, {Name: "TOKEN", Secret: "db"}}; !slices.Equal(d.Environment, want) {
		t.Errorf("the environment is %+v, want %+v", d.Environment, want)
	}
	if want := []api.Volume{{Name: "tmp", MountPath: "/scratch", SizeBytes: 1 << 20}}; !slices.Equal(d.Volumes, want) {
		t.Errorf("the volumes are %+v, want %+v", d.Volumes, want)
	}
	// The archive must keep what a definition that came with its request names.
	kept := false
	err = r.store.References(ctx, func(text []byte) { kept = kept || strings.Contains(string(text), n.Bundle.Files[0].Digest) })
	if err != nil || !kept {
		t.Errorf("the files of the run aren't kept: %v", err)
	}
}

// TestRequestOfWorkflow gets what was asked for with a run of a workflow, with the versions of the tools that it names.
func TestRequestOfWorkflow(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	c := r.client(t, RoleAdmin)
	for _, v := range []struct{ name, text string }{{"t", oneTool}, {"t", nextTool}, {"f", "name: f\ninputs: [{name: who}]\nworkflow: [{name: a, tool: t}, {name: b, tool: t}]\n"}} {
		if _, err := c.CreateVersion(ctx, "own", v.name, &api.NewVersion{Bundle: *r.sent(t, v.text)}); err != nil {
			t.Fatal(err)
		}
	}
	one, err := c.CreateRun(ctx, "own", &api.NewRun{Tool: "f", Inputs: map[string]any{"who": "ada"}, Set: map[string]string{"timeout": "1m"}, Selection: api.Selection{Only: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Request(ctx, "own", one.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := &api.RunRequest{
		Tool: "f", Version: 1, Inputs: map[string]any{"who": "ada"}, Environment: map[string]string{}, Set: map[string]string{"timeout": "1m"}, GraceSeconds: 10,
		Selection: api.Selection{Only: "b"}, Pool: "default", Tools: map[string]int{"t": 2},
	}
	if w := got.Workflow; w == nil || w.Name != "f" || len(w.Steps) != 2 {
		t.Errorf("the workflow is %+v", w)
	}
	if got.Workflow = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// TestRequestHidesSecrets gets the request of a step whose inputs may have been made of a secret: only their names are there.
func TestRequestHidesSecrets(t *testing.T) {
	r := newRig(t)
	def := &tool.Tool{Name: "t", Image: "busybox"}
	req := keptRequest{Request: &run.Request{
		ID: "step", Tool: def, Step: "a", Inputs: run.Values{"token": "hunter2hunter2", "list": []any{"hunter2hunter2"}},
		Environment: []tool.EnvVar{{Name: "TOKEN", Value: "hunter2hunter2"}}, Shared: []tool.EnvVar{{Name: "SHARED", Value: "hunter2hunter2"}},
	}}
	data, err := r.keepRequest(t.Context(), req, true)
	if err != nil {
		t.Fatal(err)
	}
	r.ran(t, store.NewRun{ID: "step", Request: data, Parent: store.Parent{Run: "w", Step: "a"}, Version: 1}, nil, run.Event{Time: time.Now(), State: &run.StateChange{State: run.Running}})
	got, err := r.client(t, RoleAdmin).Request(t.Context(), "own", "step")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("the answer is %s, %v", text, err)
	}
	if !got.Hidden || fmt.Sprint(got.Inputs) != "map[list:*** token:***]" || fmt.Sprint(got.Environment) != "map[TOKEN:***]" || fmt.Sprint(got.Shared) != "map[SHARED:***]" {
		t.Errorf("%+v", got)
	}
}
