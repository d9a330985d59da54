package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestRefusedSecrets gives runs secrets that can't be given. No answer has a value.
func TestRefusedSecrets(t *testing.T) {
	r := newRig(t)
	const secretTool = "name: t\nimage: busybox\ncommand: [x]\nenvironment: [A=/secrets/token, B=/secrets/key]\n"
	flow := r.bundle(t, oneFlow)
	of := func(text string) string { return `"bundle":` + r.bundle(t, text) }
	large := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("v4lue"), mostGiven/10+1))
	for name, c := range map[string]struct{ body, where, want, remedy string }{
		"another name":  {of(secretTool) + `,"secrets":{"tokn":"djRsdWU="}`, "body.secrets", "the tool names no secret \"tokn\"", `did you mean "token"?`},
		"none":          {of(oneTool) + `,"secrets":{"token":"djRsdWU="}`, "body.secrets", "the tool names no secret \"token\"", "the tool names no secrets"},
		"not in base64": {of(secretTool) + `,"secrets":{"token":"v4lue!"}`, "body.secrets", "the secret token is empty, or not in base64", "in base64"},
		"empty":         {of(secretTool) + `,"secrets":{"token":""}`, "body.secrets", "the secret token is empty", "in base64"},
		"too large":     {of(secretTool) + `,"secrets":{"token":"` + large + `","key":"` + large + `"}`, "body.secrets", "larger than 256 KiB together", "in the project"},
		"of a workflow": {`"bundle":` + flow + `,"secrets":{"token":"djRsdWU="}`, "body.secrets", "this is a workflow", "mayfly secret set"},
		"no text":       {of(secretTool) + `,"secrets":{"token":["djRsdWU="]}`, "body.secrets.token", "expected string", ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := r.call(t, http.MethodPost, api.Prefix+"/projects/own/runs", r.tokens["own "+RoleAuthor], "{"+c.body+"}")
			if status != http.StatusUnprocessableEntity || len(p.Errors) == 0 || p.Errors[0].Where != c.where || !strings.Contains(p.Errors[0].Message, c.want) || !strings.Contains(p.Errors[0].Hint, c.remedy) {
				t.Errorf("%d %+v", status, p)
			}
			if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), "v4lue") || strings.Contains(string(text), "djRsdWU") {
				t.Errorf("the answer has the value: %.1000s, %v", text, err)
			}
		})
	}
}

// TestSecretsOfRun opens the secrets of a run for that run only, and never leaves one out.
func TestSecretsOfRun(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	one := &tool.Tool{Environment: []tool.EnvVar{{Name: "A", Value: "/secrets/token"}, {Name: "B", Value: "/secrets/key"}}}
	req := &run.Request{ID: "1", Tool: one}
	sealed, err := r.Server.give(ctx, req, map[string]string{"token": "djRsdWU="})
	if err != nil || bytes.Contains(sealed, []byte("v4lue")) || len(req.Given) != 1 {
		t.Fatalf("%q, %v, %v", sealed, req.Given, err)
	}
	open := func(id string, given []string, sealed []byte) (map[string][]byte, error) {
		return r.Server.openGiven(ctx, &api.Assignment{Holding: api.Holding{Run: id}, Request: &run.Request{Given: given}}, sealed)
	}
	if got, err := open("1", req.Given, sealed); err != nil || string(got["token"]) != "v4lue" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := open("2", req.Given, sealed); err == nil {
		t.Errorf("another run: %q", got)
	}
	for name, sealed := range map[string][]byte{"without": nil, "with another": sealed} {
		if got, err := open("1", []string{"key"}, sealed); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestPrintOfSecrets has the prints of requests with secrets be of a token or a session, so that nobody who reads the database can try values.
func TestPrintOfSecrets(t *testing.T) {
	request := func(token, cookie string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		r.AddCookie(&http.Cookie{Name: "mayfly-session-1", Value: cookie})
		return r
	}
	s := &Server{plainCookie: "mayfly-session-1"} // as of mayfly dev
	secrets, others := []byte(`{"secrets":{}}`), []byte(`{"inputs":{}}`)
	first := request("a", "c")
	if !bytes.Equal(s.printOf(first, secrets), s.printOf(request("a", "c"), secrets)) {
		t.Error("the same request has another print")
	}
	for _, body := range []string{`{"Secrets":{}}`, `{"\u0073ecrets":{}}`, `{"ſecretS":{}}`} {
		if bytes.Equal(s.printOf(first, []byte(body)), s.printOf(request("b", "c"), []byte(body))) {
			t.Errorf("the print of %s is also that of another token", body)
		}
	}
	for _, other := range []*http.Request{request("b", "c"), request("a", "d")} {
		if bytes.Equal(s.printOf(first, secrets), s.printOf(other, secrets)) {
			t.Error("the print of a request with secrets is also that of another token or session")
		}
		if !bytes.Equal(s.printOf(first, others), s.printOf(other, others)) {
			t.Error("the print of a request without secrets isn't that of earlier versions")
		}
	}
}
