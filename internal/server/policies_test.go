package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// push makes a version of a tool, and returns the warnings.
func push(t *testing.T, c *api.Client, project, name, text string) []api.Wrong {
	t.Helper()
	v, err := c.CreateVersion(t.Context(), project, name, &api.NewVersion{Bundle: *bundle(t, c, project, text)})
	if err != nil {
		t.Fatal(err)
	}
	return v.Warnings
}

func bundle(t *testing.T, c *api.Client, project, text string) *api.Bundle {
	t.Helper()
	if err := c.PutContent(t.Context(), project, digestOfText(text), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return &api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digestOfText(text), Size: int64(len(text))}}}
}

// denied checks that an error is a problem with a code and a text.
func denied(t *testing.T, err error, status int, code run.Code, texts ...string) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != status || p.Reason != code || slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(p.Error(), s) }) {
		t.Errorf("got %v, want %d, %s, %q", err, status, code, texts)
	}
}

// TestPolicyOfProject has runs of two projects, of which one has a policy.
func TestPolicyOfProject(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, RoleAdmin), t.Context()
	const tool = "name: t\nimage: busybox\nnetwork: none\nresources: {memory: 1Gi}\nvolumes: [{name: k, secret: key}]\ncommand: [x]\n"
	value := "eA=="
	for _, project := range []string{"own", "other"} {
		push(t, c, project, "t", tool)
		if _, err := c.SetSecret(ctx, project, "key", "", &api.SetSecret{Value: &value}); err != nil {
			t.Fatal(err)
		}
	}
	old, err := c.CreateRun(ctx, "own", &api.NewRun{Tool: "t"})
	if err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		t.Helper()
		if _, err := c.SetPolicy(ctx, "own", text, 0); err != nil {
			t.Fatal(err)
		}
	}
	// With an unlimited policy it runs, by its name and as a definition; so it does with each rule that it keeps.
	for _, text := range []string{"# anything\n", "max: {memory: 1Gi}\nnetworks: [none]\nimages: ['busybox:*']\nsecrets: {'t': [key]}"} {
		set(text)
		if _, err := c.CreateRun(ctx, "own", &api.NewRun{Tool: "t"}); err != nil {
			t.Errorf("with %q: %v", text, err)
		}
	}
	_, err = c.CreateRun(ctx, "own", &api.NewRun{Bundle: bundle(t, c, "own", tool)})
	denied(t, err, http.StatusForbidden, run.CodePolicyDenied, "the secret key for a definition that isn't a tool of the server", "(policy.yaml:4:1)")
	for text, want := range map[string]string{
		"\nmax: {memory: 64Mi}":     "the policy of the project own refuses memory 1Gi: at most 64Mi is allowed (policy.yaml:2:7); ask for what is allowed, or ask the server's operator to change the policy",
		"networks: [list]":          "refuses network none: it allows only list (policy.yaml:1:1)",
		"images: ['r.example/*']":   "refuses image busybox: it allows only r.example/* (policy.yaml:1:1)",
		"secrets: {'other': [key]}": "refuses the secret key for the tool t: it allows none (policy.yaml:1:1)",
	} {
		set(text)
		_, err := c.CreateRun(ctx, "own", &api.NewRun{Tool: "t"})
		denied(t, err, http.StatusForbidden, run.CodePolicyDenied, want)
		_, err = c.Rerun(ctx, "own", old.ID, nil)
		denied(t, err, http.StatusForbidden, run.CodePolicyDenied, want)
		if w := push(t, c, "own", "t", tool+"# "+strings.TrimSpace(text)[:5]+"\n"); len(w) != 1 || !strings.Contains(w[0].Message, "no run of it will be accepted: the policy of the project own") {
			t.Errorf("push: %+v", w)
		}
		if _, err := c.CreateRun(ctx, "other", &api.NewRun{Tool: "t"}); err != nil {
			t.Errorf("another project with %q: %v", text, err)
		}
	}
	if err := c.DeletePolicy(ctx, "own", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rerun(ctx, "own", old.ID, nil); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	// A runner gets the policy with the attempt, and with the name that the server knows.
	set("max: {memory: 2Gi}")
	l, err := r.pool.connect(holder("default", "r", "i"), "default", &api.Hello{Name: "r", Slots: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.pool.claim(ctx, l); err != nil {
		t.Fatal(err)
	}
	m := <-l.messages
	for m.Assign != nil && m.Assign.Project != "own" { // projects take turns
		m = <-l.messages
	}
	if m.Assign == nil || m.Assign.Policy == nil || m.Assign.Policy.Text != "max: {memory: 2Gi}" || m.Assign.Tool != "t" {
		t.Errorf("got %+v", m.Assign)
	}
}

// TestPolicyVersions has policies set and removed on conditions.
func TestPolicyVersions(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, RoleAdmin), t.Context()
	_, err := c.Policy(ctx, "own")
	denied(t, err, http.StatusNotFound, run.CodeNoSuchThing)
	first, err := c.SetPolicy(ctx, "own", "max: {cpu: 1}", 0)
	if err != nil || first.Version != 1 || first.SetBy != RoleAdmin || first.Unused {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := c.SetPolicy(ctx, "own", "max: {cpu: 2}", 1); err != nil {
		t.Fatal(err)
	}
	_, err = c.SetPolicy(ctx, "own", "max: {cpu: 3}", 1)
	denied(t, err, http.StatusPreconditionFailed, run.CodeChanged, "it was changed meanwhile")
	denied(t, c.DeletePolicy(ctx, "own", 1), http.StatusPreconditionFailed, run.CodeChanged)
	if p, err := r.client(t, "own "+RoleViewer).Policy(ctx, "own"); err != nil || p.Version != 2 || p.Text != "max: {cpu: 2}" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = r.client(t, "own "+RoleAdmin).SetPolicy(ctx, "own", "", 0)
	denied(t, err, http.StatusForbidden, run.CodeForbidden) // it is the operator's
	_, err = c.SetPolicy(ctx, "own", "\nmaxx: {}\nmax: {cpu: x}\n", 0)
	denied(t, err, http.StatusUnprocessableEntity, run.CodeInvalidDefinition, `policy.yaml:2:1: unknown key "maxx"`, "max", "policy.yaml:3:12: ")
	_, err = c.SetPolicy(ctx, "own", " \n", 0)
	denied(t, err, http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the policy is empty")
	for header, want := range map[string]int{
		"If-Match: \"2\"": 200, "If-Match: *": 200, "If-Match: x": 422, "If-Match: \"0\"": 422, "If-None-Match: *": 412, "If-None-Match: x": 422,
	} {
		name, value, _ := strings.Cut(header, ": ")
		p, err := c.Policy(ctx, "own")
		if err != nil {
			t.Fatal(err)
		}
		if value == `"2"` {
			value = `"` + string(rune('0'+p.Version)) + `"`
		}
		status, etag := r.putIf(t, "/api/v1/policies/own", `{"text":"max: {cpu: 2}"}`, name, value)
		if status != want || want == 200 && etag != `"`+string(rune('1'+p.Version))+`"` {
			t.Errorf("%s: status %d, ETag %s", header, status, etag)
		}
	}
	lines := r.since(t, 0)
	if len(lines) < 5 || lines[0] != "admin set-policy own policies/own ok map[]" || !slices.Contains(lines, "admin set-policy own policies/own changed_meanwhile map[]") {
		t.Errorf("the audit log: %q", lines)
	}
	if p, err := c.SetPolicy(ctx, "misspelt", "max: {cpu: 1}", 0); err != nil || !p.Unused {
		t.Errorf("of a project that has nothing: %+v, %v", p, err)
	}
}

// TestPlacesOfSentTools pushes definitions whose tools are in several places: none of what the server says of them, or sends to a runner, has a
// folder of the server.
func TestPlacesOfSentTools(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, RoleAdmin), t.Context()
	const limited = "name: t\nimage: busybox\nnetwork: open\nenvironment: {A: b}\nargs: [{name: n}]\nscript: {file: run.sh}\nvolumes: [{name: v, file: data, mount_path: /v}]\n"
	const flow = "workflow:\n  - {name: here, tool: {image: busybox, command: [x]}}\n  - {name: named, tool: u}\n  - {name: beside, tool: ./t.yaml}\n"
	all := []string{"t.yaml", limited, "run.sh", "#!/bin/sh\n", "data", "x", "w.yaml", flow, "tools/u.yaml", "name: u\nimage: busybox\ncommand: [x]\n", "x_test.yaml", "tool: {image: busybox, command: [x]}\ntests: [{name: a}]\n"}
	for _, first := range []string{"t.yaml", "w.yaml"} {
		b := r.files(t, all...)
		b.Definition = first
		l, err := r.load(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		tools := []*tool.Tool{l.tool}
		if l.workflow != nil {
			tools = nil
			for _, step := range l.workflow.All() {
				tools = append(tools, step.Uses.Tool)
			}
		}
		for _, one := range tools {
			data, err := json.Marshal(one)
			if err != nil || strings.Contains(string(data), os.TempDir()) || !strings.Contains(string(data), ".yaml") {
				t.Errorf("of %s: %s, %v", first, data, err)
			}
		}
	}
	b := r.files(t, all...)
	for _, test := range []*api.NewTest{nil, {File: "x_test.yaml"}} {
		made, err := c.CreateRun(ctx, "p", &api.NewRun{Bundle: b, Test: test})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := r.store.Request(ctx, "p", made.ID)
		if err != nil || strings.Contains(string(kept), os.TempDir()) {
			t.Errorf("with the tests %+v the request is %s, %v", test, kept, err)
		}
	}
	if _, err := c.SetPolicy(ctx, "p", "networks: [none]", 0); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateRun(ctx, "p", &api.NewRun{Bundle: bundle(t, c, "p", "name: t\nimage: busybox\ncommand: [x]\n")})
	denied(t, err, http.StatusForbidden, run.CodePolicyDenied, "the default of the tool (t.yaml:1:1), which doesn't set network")
	_, err = c.CreateRun(ctx, "p", &api.NewRun{Bundle: b})
	denied(t, err, http.StatusForbidden, run.CodePolicyDenied, "refuses network open")
}
