//go:build linux

package runner_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/run"
)

func encoded(value string) *string {
	text := base64.StdEncoding.EncodeToString([]byte(value))
	return &text
}

const givenTool = "name: say\nimage: i\ncommand: [say]\nenvironment: [A=/secrets/a, B=/secrets/b]\n"

// lengths is a tool that prints how long its secrets are, which no mask hides, and what they are.
func lengths() map[string]fake.Program {
	return map[string]fake.Program{"say": func(p *fake.Process) int {
		fmt.Fprintf(p.Stdout, "%d %d %s %s\n", len(p.Getenv("A")), len(p.Getenv("B")), p.Getenv("A"), p.Getenv("B"))
		return 0
	}}
}

// TestGiven gives runs secrets of their own: they take the place of the project's for this run alone, and whatever the project's rules say.
func TestGiven(t *testing.T) {
	s := newSite(t, lengths())
	s.push("say", "t.yaml", givenTool)
	for name, tools := range map[string]*[]string{"a": {"other"}, "b": nil} {
		if _, err := s.client.SetSecret(t.Context(), "p", name, "", &api.SetSecret{Value: encoded("of-the-project"), Tools: tools}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.client.SetPolicy(t.Context(), "p", "secrets: {say: [b]}", 0); err != nil {
		t.Fatal(err)
	}
	var p *api.Problem
	if _, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Tool: "say"}); !errors.As(err, &p) || p.Status != http.StatusForbidden {
		t.Errorf("without one: %v", err)
	}
	n := &api.NewRun{Tool: "say", Secrets: map[string]string{"a": *encoded("mine-0123")}}
	waits := s.begin(n) // until there is a runner, which claims it
	s.runner("r")
	check := func(r *api.Run, want string) {
		t.Helper()
		events, result := s.follow(r.ID)
		log := ""
		for _, e := range events {
			if e.Log != nil {
				log += string(e.Log.Bytes())
			}
		}
		if result.Status != run.Succeeded || log != want {
			t.Errorf("%q, %+v, want %q", log, result, want)
		}
		asked, err := s.client.Request(t.Context(), "p", r.ID)
		if kept, err := s.db.Run(t.Context(), "p", r.ID); err != nil || fmt.Sprint(kept.Needs) != "[mayfly:secrets]" {
			t.Errorf("an earlier server may hand it out: it needs %q, %v", kept.Needs, err)
		}
		if err != nil || fmt.Sprint(asked.Secrets) != "[a]" || len(r.Needs) > 0 {
			t.Errorf("asked for %+v, %v", asked, err)
		}
		if kept, err := s.db.Request(t.Context(), "p", r.ID); err != nil || strings.Contains(string(kept), "mine") || strings.Contains(string(kept), n.Secrets["a"]) {
			t.Errorf("kept is %s, %v", kept, err)
		}
	}
	check(waits, "9 14 *** ***\n")
	check(s.begin(n), "9 14 *** ***\n") // it is handed out at once
	if _, err := s.client.Rerun(t.Context(), "p", waits.ID, nil); !errors.As(err, &p) || p.Reason != run.CodeSecretNotFound || len(p.Errors) != 1 || p.Errors[0].Where != "body.secrets.a" ||
		!strings.Contains(p.Detail, "which the server doesn't keep: a") {
		t.Errorf("repeated without it: %v", err)
	}
	again, err := s.client.Rerun(t.Context(), "p", waits.ID, &api.Changes{Secrets: map[string]string{"a": *encoded("mine-0")}})
	if err != nil {
		t.Fatal(err)
	}
	check(again, "6 14 *** ***\n")
	audit, err := s.client.Audit(t.Context(), "p", api.AuditFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, e := range audit.Entries {
		if e.Action == "use-secrets" && e.Details["secret.a"] == "given with the run" && e.Details["secret.b"] == "version 1" {
			uses++
		}
	}
	if uses != 3 || strings.Contains(text(t, audit), "mine") {
		t.Errorf("the audit log: %s", text(t, audit))
	}
	if one, err := s.client.Secret(t.Context(), "p", "a"); err != nil || len(one.Uses) != 0 {
		t.Errorf("the project's own one was used: %+v, %v", one, err)
	}
}

// TestGivenToTests gives secrets to tests, which may have their own.
func TestGivenToTests(t *testing.T) {
	s := newSite(t, lengths())
	s.runner("r")
	one := s.begin(&api.NewRun{
		Bundle: s.bundle("t.yaml", givenTool, "t_test.yaml", "tool: say\nsecrets: {b: own}\ntests: [{name: given, expect: {stdout: {regex: '9 3 .*'}}}, {name: own, secrets: {a: x}, expect: {stdout: {regex: '1 3 .*'}}}]\n"),
		Test:   &api.NewTest{File: "t_test.yaml"}, Secrets: map[string]string{"a": *encoded("mine-0123")},
	})
	events, result := s.follow(one.ID)
	if result.Status != run.Succeeded || strings.Contains(text(t, events), "mine") {
		t.Errorf("%+v\n%s", result, text(t, events))
	}
}
