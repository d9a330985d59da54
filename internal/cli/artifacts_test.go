package cli

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
)

// TestGetArtifact writes an artifact to a file or to standard output; one that isn't what the server has listed leaves no file.
func TestGetArtifact(t *testing.T) {
	r := remoteOf(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/api/v1/projects/web/runs/step/artifacts/site" {
			_, _ = io.WriteString(w, "content") // the client says so
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	right := api.Artifact{Name: "site", Run: "step", Step: "build", Digest: archive.Digest([]byte("content"))}
	wrong := right
	wrong.Digest = archive.Digest([]byte("other"))
	path := filepath.Join(t.TempDir(), "a.tar")
	get := func(name, output string, all ...api.Artifact) (string, error) {
		var out strings.Builder
		err := getArtifact(t.Context(), streams{out: &out}, r, all, "flow", name, output)
		return out.String(), err
	}
	var digest *archive.DigestError
	if _, err := get("site", path, wrong); !errors.As(err, &digest) {
		t.Errorf("another content: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if out, err := get("site", path, right); err != nil || out != path+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "content" {
		t.Errorf("the file has %q, %v", data, err)
	}
	if out, err := get("site", "-", right); err != nil || out != "content" {
		t.Errorf("standard output has %q, %v", out, err)
	}
	if _, err := get("none", path, right); err == nil || !strings.Contains(err.Error(), "run flow has no artifact none; list those that it has: mayfly artifacts flow --server") {
		t.Errorf("%v", err)
	}
	if _, err := get("site", path, right, right); err == nil || !strings.Contains(err.Error(), "2 steps of run flow have made an artifact site; give the run of one of them") {
		t.Errorf("%v", err)
	}
}

// TestArtifactsUsage has flags refused that would be ignored.
func TestArtifactsUsage(t *testing.T) {
	for _, args := range [][]string{{"RUN", "-o", "x"}, {"RUN", "NAME", "--json"}} {
		c := quietly(newArtifactsCommand(streams{}))
		c.SetArgs(args)
		var wrong *usageError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
