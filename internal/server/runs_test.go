package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestRefusedRuns asks for what can't be carried out: it is refused at once, and not by a runner, or by whoever reads the run later.
func TestRefusedRuns(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	for _, text := range []string{
		"name: t\nimage: busybox\ncommand: [x]\n",
		"name: w\ninputs: [{name: o, type: object, default: {}}]\nworkflow: [{name: a, tool: t}, {name: b, tool: t}]\n",
	} {
		if _, err := c.CreateVersion(t.Context(), "own", strings.TrimPrefix(strings.Split(text, "\n")[0], "name: "), &api.NewVersion{Bundle: *r.sent(t, text)}); err != nil {
			t.Fatal(err)
		}
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	token := r.tokens["own "+RoleOperator]
	for name, c := range map[string]struct{ path, body, want string }{
		"deep":             {"/runs", `{"tool":"t","inputs":` + deep(100) + `}`, "nested more than 64 deep"},
		"very deep":        {"/runs", `{"tool":"t","inputs":` + deep(6000) + `}`, "nested more than 64 deep"},
		"deep for a flow":  {"/runs", `{"tool":"w","inputs":{"o":` + deep(4999) + `}}`, "nested more than 64 deep"},
		"no variable":      {"/runs", `{"tool":"t","environment":{"":"c"}}`, "is not the name of a variable"},
		"a wrong variable": {"/runs", `{"tool":"w","environment":{"A B\n":"c"}}`, "is not the name of a variable"},
		"a NUL":            {"/runs", `{"tool":"t","environment":{"A":"\u0000"}}`, "NUL character"},
		"from and only":    {"/runs", `{"tool":"w","from":"a","only":"b"}`, "from and only can't be given together"},
		"a pool":           {"/runs", `{"tool":"t","pool":"~"}`, "body.pool"},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := r.call(t, http.MethodPost, api.Prefix+"/projects/own"+c.path, token, c.body)
			if status != http.StatusUnprocessableEntity || !strings.Contains(p.Error(), c.want) {
				t.Errorf("%d %v, want %q", status, p, c.want)
			}
		})
	}
	for path, want := range map[string]string{
		"/runs?status=nosuch": `"nosuch" is not a state of a run: query.status: must be some of [queued`,
	} {
		status, p := r.call(t, http.MethodGet, api.Prefix+"/projects/own"+path, token, "")
		if status != http.StatusUnprocessableEntity || !strings.Contains(p.Error(), want) {
			t.Errorf("%s: %d %v", path, status, p)
		}
	}
	status, p := r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs", token, `{"tool":"t"}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, p)
	}
	list, err := c.Runs(t.Context(), "own", api.RunFilter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	status, p = r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs/"+list.Runs[0].ID+"/rerun", token, `{"environment":{"A=":"c"}}`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(p.Error(), "is not the name of a variable") {
		t.Errorf("rerun: %d %v", status, p)
	}
}

// TestWrongInputs has the problem of each input name the input, so that a form can show it there.
func TestWrongInputs(t *testing.T) {
	r := newRig(t)
	c := r.client(t, RoleAdmin)
	for _, text := range []string{
		"name: t\nimage: busybox\ncommand: [x]\nargs: [{name: a, required: true}, {name: n, type: integer}]\n",
		"name: f\nimage: busybox\ncommand: [x]\n",
		"name: w\ninputs: [{name: o, type: object}]\nworkflow: [{name: a, tool: f}]\n",
	} {
		if _, err := c.CreateVersion(t.Context(), "own", text[len("name: "):len("name: t")], &api.NewVersion{Bundle: *r.sent(t, text)}); err != nil {
			t.Fatal(err)
		}
	}
	for body, want := range map[string][]string{
		`{"tool":"t","inputs":{"n":"x","no":1}}`:                 {"body.inputs.a", "body.inputs.n", "body.inputs"},
		`{"tool":"f","inputs":{"PATH":"/x","A B":"x","C":null}}`: {"body.inputs", "body.inputs.C", "body.inputs.PATH"},
		`{"tool":"w","inputs":{"o":1}}`:                          {"body.inputs.o"},
	} {
		_, p := r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs", r.tokens["own "+RoleOperator], body)
		var at []string
		for _, one := range p.Errors {
			at = append(at, one.Where)
		}
		if !slices.Equal(at, want) {
			t.Errorf("%s: %v, want %v", body, at, want)
		}
	}
}
