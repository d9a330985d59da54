package cli

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestValidateRemote has a server check a file, which is sent, and a tool that it has.
func TestValidateRemote(t *testing.T) {
	const text = "image: busybox\ncommand: [echo]\n"
	bundle := api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: archive.Digest([]byte(text)), Size: int64(len(text))}}}
	var asked []string
	refuse := false
	r := remoteOf(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		asked = append(asked, strings.TrimPrefix(req.URL.Path, "/api/v1/projects/web/"))
		answer := any(api.Digests{})
		switch {
		case strings.HasSuffix(req.URL.Path, "/none/versions/0/files"):
			w.WriteHeader(http.StatusNotFound)
			answer = api.Problem{Status: http.StatusNotFound, Title: "x", Detail: "there is no tool none", Reason: run.CodeNoSuchThing}
		case strings.HasSuffix(req.URL.Path, "/away/versions/0/files"):
			w.WriteHeader(http.StatusServiceUnavailable)
			answer = api.Problem{Status: http.StatusServiceUnavailable, Title: "x", Detail: "no database", Reason: run.CodeDatabase}
		case strings.HasSuffix(req.URL.Path, "/files"):
			answer = api.VersionFiles{Bundle: bundle}
		case strings.HasSuffix(req.URL.Path, "/validate") && refuse:
			w.WriteHeader(http.StatusUnprocessableEntity)
			answer = api.Problem{
				Status: http.StatusUnprocessableEntity, Title: "x", Detail: "the definition is wrong", Reason: run.CodeInvalidDefinition,
				Errors: []api.Wrong{{Where: "t.yaml:2:1", Message: "it is wrong", Hint: "correct it"}},
			}
		case strings.HasSuffix(req.URL.Path, "/validate"):
			var got api.Bundle
			if err := json.Unmarshal(body, &got); err != nil || got.Definition != "t.yaml" || got.Files[0].Digest != bundle.Files[0].Digest {
				t.Errorf("it is asked to check %s, %v", body, err)
			}
			answer = api.Checked{Kind: "tool", Name: "t", Warnings: []api.Wrong{{Where: "t.yaml", Message: "it may be wrong"}}}
		}
		_ = json.NewEncoder(w).Encode(answer) // the client says so
	})
	t.Chdir(t.TempDir())
	if err := os.WriteFile("t.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut strings.Builder
	s := streams{in: strings.NewReader(""), out: &out, err: &errOut}
	if err := validateRemote(t.Context(), s, r, []string{"./t.yaml", "check@3"}, false); err != nil || out.String() != "./t.yaml: ok\ncheck@3: ok\n" ||
		strings.Count(errOut.String(), "t.yaml: warning: it may be wrong") != 2 {
		t.Errorf("%v, %q, %q", err, out.String(), errOut.String())
	}
	if want := "contents/missing tools/validate tools/check/versions/3/files tools/validate"; strings.Join(asked, " ") != want {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	// What is wrong with one doesn't keep it from the others.
	if err := os.WriteFile("bad.yaml", []byte("image: busybox\nimag: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exit *exitError
	out.Reset()
	errOut.Reset()
	if err := validateRemote(t.Context(), s, r, []string{"./bad.yaml", "./missing.yaml", "none", "check"}, false); !errors.As(err, &exit) || exit.status != run.ExitFailed || out.String() != "check: ok\n" ||
		!strings.Contains(errOut.String(), "bad.yaml:2:1: ") || !strings.Contains(errOut.String(), "missing.yaml") || !strings.Contains(errOut.String(), "there is no tool none") {
		t.Errorf("%v, %q, %q", err, out.String(), errOut.String())
	}
	out.Reset()
	if err := validateRemote(t.Context(), s, r, []string{"./bad.yaml", "check"}, true); !errors.As(err, &exit) || strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), `"where":"./bad.yaml:2:1"`) {
		t.Errorf("%v, %q", err, out.String())
	}
	var p *api.Problem
	if err := validateRemote(t.Context(), s, r, []string{"away", "check"}, false); !errors.As(err, &p) || p.Reason != run.CodeDatabase {
		t.Errorf("a server that can't answer: %v", err)
	}
	refuse = true
	errOut.Reset()
	if err := validateRemote(t.Context(), s, r, []string{"check"}, false); !errors.As(err, &exit) || exit.status != run.ExitFailed || errOut.String() != "t.yaml:2:1: it is wrong; correct it\n" {
		t.Errorf("%v, %q", err, errOut.String())
	}
	out.Reset()
	if err := validateRemote(t.Context(), s, r, []string{"check"}, true); !errors.As(err, &exit) || !strings.Contains(out.String(), `"valid":false`) || !strings.Contains(out.String(), `"where":"t.yaml:2:1"`) {
		t.Errorf("%v, %q", err, out.String())
	}
}
