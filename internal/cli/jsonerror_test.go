package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestJSONErrors: a command that was asked for JSON says in JSON why it failed, and in text on standard error.
func TestJSONErrors(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("MAYFLY_HOME", filepath.Join(dir, "home"))
	t.Setenv("MAYFLY_POLICY", "")
	if err := os.WriteFile("bad.yaml", []byte("image: x\ncommand: y\nunknown: z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        run.Code
		problems    int
		line        int
	}{
		{"run of a wrong file", "", []string{"run", "bad.yaml", "--json"}, run.CodeInvalidDefinition, 1, 3},
		{"run of standard input", "imag: x", []string{"run", "-", "-o", "json"}, run.CodeInvalidDefinition, 1, 1},
		{"no tool", "", []string{"run", "nothing", "--json"}, run.CodeToolNotFound, 0, 0},
		{"no file", "", []string{"run", "nothing.yaml", "--json"}, run.CodeFileNotFound, 0, 0},
		{"usage", "", []string{"run", "bad.yaml", "--json", "--pull", "some"}, run.CodeInvalidDefinition, 1, 3},
		{"two flags", "", []string{"run", "bad.yaml", "--json", "--quiet"}, run.CodeInvalidUsage, 0, 0},
		{"tests", "", []string{"test", "--json", "--parallel", "0"}, run.CodeInvalidUsage, 0, 0},
		{"validate", "", []string{"validate", "--json", "bad.yaml"}, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			status := Main(t.Context(), c.args, strings.NewReader(c.stdin), &out, &errOut)
			if c.code == "" {
				var line struct{ Code run.Code }
				if err := json.Unmarshal(out.Bytes(), &line); err != nil || status != run.ExitFailed || line.Code != run.CodeInvalidDefinition {
					t.Errorf("status %d, %s, error %v", status, &out, err)
				}
				return
			}
			var got jsonError
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s%s", err, &out, &errOut)
			}
			if got.Type != "error" || got.Code != c.code || got.ExitCode != status || status != run.ExitError || len(got.Problems) != c.problems {
				t.Errorf("status %d, %+v", status, got)
			}
			if c.problems > 0 && len(got.Problems) == c.problems && got.Problems[0].Line != c.line {
				t.Errorf("problems %v, want the first in line %d", got.Problems, c.line)
			}
			if errOut.Len() == 0 || got.Error == "" {
				t.Errorf("error %q, standard error %q", got.Error, &errOut)
			}
		})
	}
	var out, errOut bytes.Buffer
	if status := Main(t.Context(), []string{"run", "bad.yaml"}, strings.NewReader(""), &out, &errOut); status != run.ExitError || out.Len() > 0 {
		t.Errorf("without --json: status %d, %q", status, &out)
	}
}
