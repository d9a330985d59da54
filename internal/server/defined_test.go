package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
)

const graphFlow = `name: f
description: a graph
inputs: [{name: env, type: string, options: [a, b], default: a}]
parallel_tools:
- {name: build, tool: {image: busybox, command: [x], outputs: [tag]}, artifacts: [{name: bin}]}
- {name: lint, tool: t, needs: [build]}
- {name: ship, tool: t, inputs: {x: "${build.tag}"}, needs: [lint], condition: '${build.tag} != "" && ${lint.status} == "succeeded"', artifacts: [{name: bin, from: build}], runner: [eu]}
- {name: each, tool: t, for_each: [1, 2], continue_on_failure: true, timeout: 5s}
finally:
- {name: bye, tool: t}
`

// heldArchive is an archive that opens nothing until it may.
type heldArchive struct {
	archive.Storage
	asked chan string // gets the name of each object that is to be opened
	may   chan struct{}
}

func (h heldArchive) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, archive.Object, error) {
	h.asked <- name
	<-h.may
	return h.Storage.Open(ctx, name, offset, length)
}

// TestLoadAtOnce has two requests need a bundle that isn't there yet: one reads it, and the other waits for that.
func TestLoadAtOnce(t *testing.T) {
	r := newRig(t)
	var b api.Bundle
	if err := json.Unmarshal([]byte(r.bundle(t, oneTool)), &b); err != nil {
		t.Fatal(err)
	}
	digest, _, err := digestOf(&b)
	if err != nil {
		t.Fatal(err)
	}
	in := heldArchive{r.archive.In, make(chan string, 2), make(chan struct{})}
	r.archive.In = in
	got := make(chan *loaded, 2)
	for range 2 {
		go func() {
			l, err := r.load(t.Context(), &b)
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
	}
	users := func() int {
		r.loading.mu.Lock()
		defer r.loading.mu.Unlock()
		if one := r.loading.of[digest]; one != nil {
			return one.users
		}
		return 0
	}
	for begin := time.Now(); users() < 2 && len(in.asked) < 2; runtime.Gosched() {
		if time.Since(begin) > 5*time.Minute { // the last resort, if nobody waits
			t.Fatal("the second request doesn't wait")
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := r.load(ended, &b); !errors.Is(err, context.Canceled) {
		t.Errorf("of a request that has ended: %v", err)
	}
	close(in.may)
	if first, second := <-got, <-got; first != second || len(in.asked) != 1 {
		t.Errorf("the bundle was read %d times", len(in.asked))
	}
	if n := users(); n > 0 {
		t.Errorf("%d still hold the lock or wait for it", n)
	}
}

// TestDefined reads what versions define.
func TestDefined(t *testing.T) {
	r := newRigWith(t, Options{Conditions: &cel.Evaluator{}})
	admin := r.tokens[RoleAdmin]
	const argsTool = "name: t\nimage: busybox\ncommand: [x]\nargs: [{name: x, type: string, description: an x}]\nresources: {memory: 64Mi}\n"
	for _, v := range []struct{ name, text string }{{"t", argsTool}, {"f", graphFlow}} {
		if a := r.keyed(t, admin, "", "/projects/own/tools/"+v.name+"/versions", r.bundle(t, v.text)); a.status != http.StatusOK {
			t.Fatalf("%s: %+v", v.name, a)
		}
	}
	client := r.client(t, RoleAdmin)
	read := func(name string, version int) *api.Defined {
		t.Helper()
		d, err := client.Defined(t.Context(), "own", name, version)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := read("t", 0)
	if d.Workflow != nil || d.Definition == nil || d.Definition.Limits.MemoryBytes != 64<<20 || d.Definition.Limits.PIDs == 0 ||
		!reflect.DeepEqual(d.Definition.Args, []api.Arg{{Name: "x", Type: "string", Description: "an x", Env: "X"}}) {
		t.Errorf("the tool: %+v", d.Definition)
	}
	d = read("f", 1)
	if d.Definition != nil || d.Workflow == nil {
		t.Fatalf("the workflow: %+v", d)
	}
	f := d.Workflow
	if want := []api.Arg{{Name: "env", Type: "string", Default: "a", Options: []any{"a", "b"}}}; f.Description != "a graph" || !reflect.DeepEqual(f.Inputs, want) {
		t.Errorf("the workflow: %+v", f)
	}
	want := []api.FlowStep{
		{Name: "build", After: []api.Edge{}, Artifacts: []string{"bin"}},
		{Name: "lint", Tool: "t", After: []api.Edge{{Step: "build"}}},
		{
			Name: "ship", Tool: "t", Condition: `${build.tag} != "" && ${lint.status} == "succeeded"`, Runner: []string{"eu"},
			After: []api.Edge{{Step: "lint", Carries: []string{"status"}}, {Step: "build", Carries: []string{"tag", "bin"}}},
		},
		{Name: "each", Tool: "t", After: []api.Edge{}, Repeated: true, ContinueOnFailure: true, TimeoutSeconds: 5},
		{Name: "bye", Tool: "t", Finally: true, After: []api.Edge{}},
	}
	if !reflect.DeepEqual(f.Steps, want) {
		t.Errorf("the steps:\n%+v\nwant:\n%+v", f.Steps, want)
	}
	// While one types, validate says the same.
	var checked api.Checked
	a := r.keyed(t, admin, "", "/projects/own/tools/validate", r.bundle(t, graphFlow))
	if err := json.Unmarshal([]byte(a.body), &checked); err != nil || !reflect.DeepEqual(checked.Workflow, f) {
		t.Errorf("validate: %+v, %v", a, err)
	}
	// And so does a run.
	one, err := client.CreateRun(t.Context(), "own", &api.NewRun{Tool: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if asked, err := client.Request(t.Context(), "own", one.ID); err != nil || !reflect.DeepEqual(asked.Workflow, f) {
		t.Errorf("the request: %+v, %v", asked, err)
	}
	if status, p := r.call(t, http.MethodGet, api.Prefix+"/projects/own/tools/none/versions/0/definition", admin, ""); status != http.StatusNotFound || !strings.Contains(p.Error(), "there is no tool none") {
		t.Errorf("no tool: %d %v", status, p)
	}
}
