package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// files are a bundle of files, the first of which is the definition.
func (r *rig) files(t *testing.T, files ...string) *api.Bundle {
	t.Helper()
	b := &api.Bundle{Definition: files[0]}
	for i := 0; i+1 < len(files); i += 2 {
		digest := r.sentContent(t, files[i+1])
		b.Files = append(b.Files, api.File{Path: files[i], Digest: digest, Size: int64(len(files[i+1]))})
	}
	return b
}

// TestRefusedTests asks for tests that can't be carried out: each answer says where what is wrong, and what to do.
func TestRefusedTests(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	const one = "tests: [{name: healthy}]\n"
	many := "tool: t\ntests:\n" + strings.Repeat("  - {name: x%d}\n", mostTests+1)
	for i := range mostTests + 1 {
		many = strings.Replace(many, "%d", fmt.Sprint(i), 1)
	}
	for name, c := range map[string]struct {
		test                api.NewTest
		change              func(*api.NewRun)
		text                string // of x_test.yaml
		where, what, remedy string
	}{
		"no such file":            {api.NewTest{File: "x_test.yml"}, nil, "tool: t\n" + one, "body.test.file", `"x_test.yml" is not among the files`, `did you mean "x_test.yaml"?`},
		"a file elsewhere":        {api.NewTest{File: "../x_test.yaml"}, nil, "tool: t\n" + one, "body.test.file", "is not among the files", "x_test.yaml"},
		"no tests":                {api.NewTest{File: "t.yaml"}, nil, "tool: t\n" + one, "t.yaml:2:1", "this is not a test file", "add tests"},
		"no YAML":                 {api.NewTest{File: "x_test.yaml"}, nil, "tool: [t\n", "x_test.yaml:", "", ""},
		"a wrong key":             {api.NewTest{File: "x_test.yaml"}, nil, "tool: t\ntests: [{name: healthy, expects: {}}]\n", "x_test.yaml:2:25", "expects", `did you mean "expect"?`},
		"no such test":            {api.NewTest{File: "x_test.yaml", Name: "healty"}, nil, "tool: t\n" + one, "body.test.name", `x_test.yaml has no test "healty"`, `did you mean "healthy"?`},
		"too many tests":          {api.NewTest{File: "x_test.yaml"}, nil, many, "body.test.file", "501 tests; a run has at most 500", "several files"},
		"no such workflow":        {api.NewTest{File: "x_test.yaml"}, nil, "workflow: w\n" + one, "x_test.yaml:1:11", `workflow "w" is not found`, "looked for w.yaml, "},
		"no such workflow's path": {api.NewTest{File: "x_test.yaml"}, nil, "workflow: ./w.yaml\n" + one, "x_test.yaml:1:11", "is not among the files", "correct its path"},
		"a workflow elsewhere":    {api.NewTest{File: "x_test.yaml"}, nil, "workflow: ../../etc/passwd\n" + one, "x_test.yaml:1:11", "is outside the folder", "name a file in it"},
		"a tool as a workflow":    {api.NewTest{File: "x_test.yaml"}, nil, "workflow: t.yaml\n" + one, "x_test.yaml:1:11", "is a tool", "under tool"},
		"a workflow of a tool elsewhere": {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) {
			n.Bundle = r.files(t, "t.yaml", oneTool, "w.yaml", "workflow: [{name: a, tool: ../../etc/passwd}]\n", "x_test.yaml", "workflow: w\n"+one)
		}, "", "w.yaml:1:28", "is outside of the workflow's folder", ""},
		"a workflow of no such tool": {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) {
			n.Bundle = r.files(t, "t.yaml", oneTool, "w.yaml", "workflow: [{name: a, tool: gone}]\n", "x_test.yaml", "workflow: w\n"+one)
		}, "", "w.yaml:1:28", "neither the workflow's folder nor the project own has the tool gone", ""},
		"no such tool":     {api.NewTest{File: "x_test.yaml"}, nil, "tool: other\n" + one, "x_test.yaml:1:7", "tool \"other\" is not among the files", "./tool.yaml"},
		"no such path":     {api.NewTest{File: "x_test.yaml"}, nil, "tool: ./other.yaml\n" + one, "x_test.yaml:1:7", "is not among the files", "correct its path"},
		"a path elsewhere": {api.NewTest{File: "x_test.yaml"}, nil, "tool: ../../etc/passwd\n" + one, "x_test.yaml:1:7", "is outside the folder", "name a file in it"},
		"an absolute path": {api.NewTest{File: "x_test.yaml"}, nil, "tool: /etc/passwd\n" + one, "x_test.yaml:1:7", "is outside the folder", "name a file in it"},
		"a wrong tool":     {api.NewTest{File: "x_test.yaml"}, nil, "tool: {imag: busybox}\n" + one, "x_test.yaml:1:8", "imag", `did you mean "image"?`},
		"a wrong file": {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) {
			n.Bundle = r.files(t, "t.yaml", oneTool, "other.yaml", "imag: busybox\n", "x_test.yaml", "tool: ./other.yaml\n"+one)
		}, "", "other.yaml:1:1", "imag", `did you mean "image"?`},
		"no such mocks":      {api.NewTest{File: "x_test.yaml"}, nil, "tool: t\nmocks: x.mocks.yaml\n" + one, "x_test.yaml:2:8", "x.mocks.yaml", "write it"},
		"inputs":             {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) { n.Inputs = map[string]any{"a": "b"} }, "tool: t\n" + one, "body.inputs", "inputs is for runs of tools", "leave it out"},
		"settings":           {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) { n.Set = map[string]string{"cpu": "1"} }, "tool: t\n" + one, "body.set", "set is for runs of tools", "leave it out"},
		"selected steps":     {api.NewTest{File: "x_test.yaml"}, func(n *api.NewRun) { n.Only = "a" }, "tool: t\n" + one, "body.only", "only is for runs of tools", "leave it out"},
		"no name of a file":  {api.NewTest{}, nil, "tool: t\n" + one, "body.test.file", "", ""},
		"a name of any size": {api.NewTest{File: strings.Repeat("x", 2000)}, nil, "tool: t\n" + one, "body.test.file", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := &api.NewRun{Bundle: r.files(t, "t.yaml", oneTool, "x_test.yaml", c.text), Test: &c.test}
			if c.change != nil {
				c.change(n)
			}
			body, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			status, p := r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs", r.tokens["own "+RoleAuthor], string(body))
			if status != http.StatusUnprocessableEntity || len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Where, c.where) ||
				!strings.Contains(p.Errors[0].Message, c.what) || !strings.Contains(p.Errors[0].Hint, c.remedy) {
				t.Errorf("%d %+v", status, p)
			}
			if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), os.TempDir()) {
				t.Errorf("it names the folder where the bundle was read: %s, %v", text, err)
			}
		})
	}
	// A bundle needs an author, and a tool of the server doesn't.
	for name, n := range map[string]*api.NewRun{"t": {Tool: "t", Test: &api.NewTest{File: "x_test.yaml"}}, "": {Bundle: r.files(t, "t.yaml", oneTool, "x_test.yaml", "tool: t\n"+one), Test: &api.NewTest{File: "x_test.yaml"}}} {
		if name != "" {
			if _, err := c.CreateVersion(t.Context(), "own", name, &api.NewVersion{Bundle: *r.files(t, "t.yaml", oneTool, "x_test.yaml", "tool: t\n"+one)}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := r.client(t, "own "+RoleOperator).CreateRun(t.Context(), "own", n)
		var p *api.Problem
		if (err == nil) != (name != "") || err != nil && (!errors.As(err, &p) || p.Reason != run.CodeForbidden) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestTestsOfWorkflow sends a runner the tools of a workflow that is tested: of its files, in place, and of the project, with what they need.
func TestTestsOfWorkflow(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	if _, err := c.CreateVersion(t.Context(), "own", "theirs", &api.NewVersion{Bundle: *r.files(t, "t.yaml", oneTool)}); err != nil {
		t.Fatal(err)
	}
	bundle := r.files(t, "flows/w.yaml", `name: w
workflow:
  - {name: beside, tool: ours}
  - {name: again, tool: ours}
  - {name: inline, tool: {image: i, command: [x], resources: {memory: 2Gi}, environment: {A: /secrets/one, B: /secrets/two}}}
finally: [{name: last, tool: theirs}]
`, "tools/ours.yaml", "image: i\ncommand: [x]\nvolumes: [{name: f, file: f.txt, mount_path: /f.txt}]\nresources: {memory: 1Gi}\n", "tools/f.txt", "text", "flows/x_test.yaml", "workflow: w\ntests: [{name: a, secrets: {one: mine}}]\n")
	one, err := c.CreateRun(t.Context(), "own", &api.NewRun{Bundle: bundle, Test: &api.NewTest{File: "flows/x_test.yaml"}})
	if err != nil || one.Kind != "test" || one.Tool != "w" {
		t.Fatalf("%+v, %v", one, err)
	}
	got, err := r.store.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Minute}, Pool: defaultPool, Labels: []string{needsTests}, Free: store.Unbounded(), Most: 9})
	if err != nil || len(got) != 1 || got[0].Size.Memory != 2<<30 {
		t.Fatalf("%+v, %v", got, err)
	}
	req, _, err := r.openRequest(t.Context(), got[0].Request)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]*tool.Tool{}
	known := map[string]string{}
	for name, place := range req.Tests.Workflow.Steps {
		one := req.Tests.Workflow.Tools[place]
		steps[name], known[name] = one.Tool, one.Known
	}
	if fmt.Sprint(known) != "map[again: beside: inline: last:theirs]" || len(req.Tests.Workflow.Tools) != 3 {
		t.Errorf("the tools are known as %v, %d of them", known, len(req.Tests.Workflow.Tools))
	}
	if len(steps) != 4 || steps["beside"].Name != "ours" || steps["inline"].Image != "i" || steps["last"].Name != "t" || !slices.Equal(req.Tests.Secrets, []string{"two"}) {
		t.Fatalf("%+v", req.Tests)
	}
	for name, one := range steps {
		if !one.Source.Sent || one.Source.Dir != "" || strings.Contains(one.Source.Path, os.TempDir()) {
			t.Errorf("the tool of %s is from %+v", name, one.Source)
		}
	}
	if files := steps["beside"].Source.Files; files == "" || !needs(req.Request, files) || needs(req.Request, "sha256:"+strings.Repeat("0", 64)) {
		t.Errorf("what a runner may get: %q", files)
	}
	if _, err := c.Rerun(t.Context(), "own", one.ID, nil); err != nil {
		t.Error(err)
	}
	// A tool of the project has what it may have, and not what the workflow may.
	if _, err := c.SetSecret(t.Context(), "own", "theirs", "", &api.SetSecret{Value: new("eA=="), Tools: &[]string{"w"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateVersion(t.Context(), "own", "theirs", &api.NewVersion{Bundle: *r.files(t, "t.yaml", oneTool+"environment: {A: /secrets/theirs}\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateVersion(t.Context(), "own", "w", &api.NewVersion{Bundle: *r.files(t, "w.yaml", "workflow: [{name: a, tool: theirs}]\n", "x_test.yaml", "workflow: w\ntests: [{name: a}]\n")}); err != nil {
		t.Fatal(err)
	}
	var p *api.Problem
	tests := &api.NewRun{Tool: "w", Test: &api.NewTest{File: "x_test.yaml"}}
	if _, err := c.CreateRun(t.Context(), "own", tests); !errors.As(err, &p) || p.Reason != run.CodeForbidden || !strings.Contains(p.Detail, "only for tools of the server with these names: w") {
		t.Errorf("a secret of the workflow for another tool: %v", err)
	}
	if _, err := c.SetSecret(t.Context(), "own", "theirs", "", &api.SetSecret{Value: new("eA=="), Tools: &[]string{"theirs"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRun(t.Context(), "own", tests); err != nil {
		t.Errorf("a secret of the tool's: %v", err)
	}
	// What the project doesn't allow one of the tools, it doesn't allow the tests.
	if _, err := c.SetPolicy(t.Context(), "own", "max: {memory: 1Gi}", 0); err != nil {
		t.Fatal(err)
	}
	_, err = c.Rerun(t.Context(), "own", one.ID, nil)
	if !errors.As(err, &p) || p.Reason != run.CodePolicyDenied {
		t.Errorf("against the policy: %v", err)
	}
}

// TestMayAllUse asks when a secret is handed out, since what may use it may have changed: each tool that names it counts by its own name.
func TestMayAllUse(t *testing.T) {
	var names tool.Tool
	if parsed, err := tool.Parse("t.yaml", []byte("image: i\nenvironment: {A: /secrets/s}\n")); err != nil {
		t.Fatal(err)
	} else {
		names = *parsed
	}
	tests := &run.Tests{Workflow: &run.TestedWorkflow{Tools: []run.TestedTool{{Tool: &names, Known: "theirs"}, {Tool: &tool.Tool{}, Known: "other"}}}}
	for name, c := range map[string]struct {
		tests *run.Tests
		may   []string
		want  bool
	}{
		"a run":                  {nil, []string{"w"}, true},
		"tests of a tool":        {&run.Tests{Tool: &names}, []string{"w"}, true},
		"the workflow's":         {tests, []string{"w"}, false},
		"the tool's":             {tests, []string{"theirs"}, true},
		"one that needs it not":  {tests, []string{"other"}, false},
		"everyone's":             {tests, nil, true},
		"of a run, another's":    {nil, []string{"theirs"}, false},
		"of a tool's, another's": {&run.Tests{Tool: &names}, []string{"theirs"}, false},
	} {
		as := &api.Assignment{Tool: "w", Request: &run.Request{Tests: c.tests}}
		if got := mayAllUse(store.Secret{Tools: c.may}, as, "s"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestLargeRequest refuses a run of which a runner would have to get more than it reads.
func TestLargeRequest(t *testing.T) {
	r := newRig(t)
	files := []string{"w.yaml", "", "big.sh", "#!/bin/sh\n" + strings.Repeat("# a line of a long script\n", 35_000), "x_test.yaml", "workflow: w\ntests: [{name: a}]\n"}
	flow := "workflow:\n"
	for i := range 40 {
		files = append(files, fmt.Sprintf("t%d.yaml", i), "image: i\nscript: {file: big.sh}\n")
		flow += fmt.Sprintf("  - {name: s%d, tool: ./t%d.yaml}\n", i, i)
	}
	files[1] = flow
	_, err := r.client(t, RoleAdmin).CreateRun(t.Context(), "own", &api.NewRun{Bundle: r.files(t, files...), Test: &api.NewTest{File: "x_test.yaml"}})
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Detail, "at most 32 are sent") {
		t.Errorf("%v", err)
	}
}

// TestTestsOnce has tests, also repeated ones, be carried out once: one that is lost isn't given to another runner, whatever its tool says.
func TestTestsOnce(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	one, err := c.CreateRun(t.Context(), "own", &api.NewRun{
		Bundle: r.files(t, "t.yaml", oneTool+"retry: {attempts: 3}\n", "x_test.yaml", "tool: t\ntests: [{name: a}]\n"), Test: &api.NewTest{File: "x_test.yaml"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rerun(t.Context(), "own", one.ID, nil); err != nil {
		t.Fatal(err)
	}
	got, err := r.store.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: "r", Lease: time.Minute}, Pool: defaultPool, Labels: []string{needsTests}, Free: store.Unbounded(), Most: 9})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, c := range got {
		if c.Retries != 0 {
			t.Errorf("%s is given to %d others", c.Run, c.Retries)
		}
	}
}

// TestTestsPolicy holds the policy of a project against tools that are tested, and who may use a secret.
func TestTestsPolicy(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	const tests = "tool: t\ntests: [{name: a}, {name: b, secrets: {db: x}}]\n"
	bundle := r.files(t, "t.yaml", "name: t\nimage: busybox\ncommand: [x]\nenvironment: [DB=/secrets/db]\n", "x_test.yaml", tests)
	ask := func(name string) error {
		_, err := c.CreateRun(t.Context(), "own", &api.NewRun{Bundle: bundle, Test: &api.NewTest{File: "x_test.yaml", Name: name}})
		return err
	}
	if err := ask("a"); err != nil { // the test says that there is no secret
		t.Error(err)
	}
	if _, err := c.SetSecret(t.Context(), "own", "db", "", &api.SetSecret{Value: new("eA=="), Tools: &[]string{"backup"}}); err != nil {
		t.Fatal(err)
	}
	var p *api.Problem
	if err := ask("a"); !errors.As(err, &p) || p.Reason != run.CodeForbidden {
		t.Errorf("with a secret of others: %v", err)
	}
	if err := ask("b"); err != nil {
		t.Errorf("with the test's own: %v", err)
	}
	if _, err := c.SetPolicy(t.Context(), "own", "images: [registry.example.com/*]\n", 0); err != nil {
		t.Fatal(err)
	}
	if err := ask("b"); !errors.As(err, &p) || p.Reason != run.CodePolicyDenied {
		t.Errorf("with an image that isn't allowed: %v", err)
	}
}

// TestTestsInTurn has the files of one bundle of a project on the disk at once, and doesn't have other projects wait.
func TestTestsInTurn(t *testing.T) {
	r := newRig(t)
	leave, err := r.loading.enter(t.Context(), "tests of own")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	b := r.files(t, "t.yaml", oneTool, "x_test.yaml", "tool: t\ntests: [{name: a}]\n")
	l, err := r.load(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	n := &api.NewRun{Bundle: b, Test: &api.NewTest{File: "x_test.yaml"}}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	folder := os.TempDir()
	t.Setenv("TMPDIR", filepath.Join(folder, "none")) // it waits before it writes anything
	if _, _, err := r.testsOf(gone, "own", n, l, b); !errors.Is(err, context.Canceled) {
		t.Errorf("beside others: %v", err)
	}
	t.Setenv("TMPDIR", folder)
	if tests, _, err := r.testsOf(t.Context(), "another", n, l, b); err != nil || len(tests.Names) != 1 {
		t.Errorf("of another project: %+v, %v", tests, err)
	}
}
