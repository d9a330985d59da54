package server

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/archive"
)

// get returns the status of an answer, and whether all of it came.
func (r *rig) get(t *testing.T, path string) (status int, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[RoleAdmin])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// damage changes all objects of the archive.
func (r *rig) damage(t *testing.T, change func(data []byte)) {
	t.Helper()
	dir, _ := r.archive.In.(archive.Dir)
	for _, name := range objects(t, dir, "") {
		path := filepath.Join(string(dir), name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		change(data)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedIsNoSuccess asks for a file and for events that are damaged: neither looks as if it were whole.
func TestDamagedIsNoSuccess(t *testing.T) {
	r := newRig(t)
	r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/tools/t/versions", r.bundle(t, oneTool))
	chatty(t, r.Server, "run-1", 40)
	if err := keeper(t, r.store, r.archive.In).archiveLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, events := "/projects/own/tools/t/versions/1/files/t.yaml", "/projects/p/runs/run-1/events?wait=false"
	for _, path := range []string{file, events} {
		if status, err := r.get(t, path); status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", path, status, err)
		}
	}
	r.damage(t, func(data []byte) { data[len(data)/5] ^= 1 })
	if status, err := r.get(t, file); status == http.StatusOK && err == nil {
		t.Error("a damaged file is a success")
	}
	if status, _ := r.get(t, events); status != http.StatusInternalServerError {
		t.Errorf("the status of damaged events is %d", status)
	}
}
