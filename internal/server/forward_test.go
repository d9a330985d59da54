package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

// TestOutages tries workflows that can't go forward at the moment: without their folder of temporary files, or with a full disk there. They go on
// afterwards, and what one asks for meanwhile isn't said to be wrong.
func TestOutages(t *testing.T) {
	r := newRig(t)
	admin := r.tokens[RoleAdmin]
	r.keyed(t, admin, "", "/projects/own/tools/t/versions", r.bundle(t, strings.Replace(oneTool, "<&>", "a", 1)))
	text := "name: f\nworkflow: [{name: a, tool: t}]\n"
	var flow api.Run
	if err := json.Unmarshal([]byte(r.keyed(t, admin, "", "/projects/own/runs", `{"bundle":`+r.bundle(t, text)+`}`).body), &flow); err != nil || flow.Kind != "workflow" {
		t.Fatalf("%+v, %v", flow, err)
	}
	good := os.TempDir()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	r.flows, r.tools = newFlows(), newFirst[*loaded](loadedFor, mostCached) // as if another server took it forward
	if err := r.forwardOne(t.Context(), flow.ID); !outage(err) {
		t.Errorf("without a folder for temporary files: %v", err)
	}
	if answer := r.keyed(t, admin, "", "/projects/own/runs", `{"tool":"t"}`); answer.status < http.StatusInternalServerError {
		t.Errorf("a run is asked for without a folder for temporary files: %+v", answer)
	}
	t.Setenv("TMPDIR", good)
	if err := r.forwardOne(t.Context(), flow.ID); err != nil {
		t.Errorf("with a folder for temporary files: %v", err)
	}
	if w, err := r.store.Run(t.Context(), "own", flow.ID); err != nil || w.Over {
		t.Errorf("it is %s, %v", w.Status, err)
	}

	for _, test := range []struct {
		err    error
		outage bool
		text   string
	}{
		{syscall.ENOSPC, true, `make the file "a": no space left on device`},
		{syscall.EMFILE, true, `make the file "a": too many open files`},
		{syscall.EEXIST, false, `the file "a" can't be made: another file has its name`},
		{syscall.ENAMETOOLONG, false, `the file "a" can't be made: its name is too long`},
	} {
		err := cantMake("body.files[0]", "the file", "a", test.err)
		if outage(err) != test.outage || err.Error() != test.text {
			t.Errorf("%v: %q, an outage: %v; want %q", test.err, err, outage(err), test.text)
		}
	}
}

// TestFailedElsewhere has another server take a workflow forward that failed here: how often it failed is forgotten.
func TestFailedElsewhere(t *testing.T) {
	f := newFlows()
	f.went("a", errors.New("x"))
	f.went("b", errors.New("x"))
	f.due([]string{"b"})
	if f.failed["a"].pause != 0 || f.failed["b"].pause == 0 {
		t.Errorf("remembered: %v; want only b", f.failed)
	}
}

// TestUnmountedArchive takes a workflow forward while the archive has nothing: it goes on when the archive has everything again.
func TestUnmountedArchive(t *testing.T) {
	for name, text := range map[string]string{
		"its own tool":        oneFlow,
		"a tool of a project": "name: f\nworkflow: [{name: a, tool: t}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			admin := r.tokens[RoleAdmin]
			r.keyed(t, admin, "", "/projects/own/tools/t/versions", r.bundle(t, strings.Replace(oneTool, "<&>", "a", 1)))
			answer := r.keyed(t, admin, "", "/projects/own/runs", `{"bundle":`+r.bundle(t, text)+`}`)
			var flow api.Run
			if err := json.Unmarshal([]byte(answer.body), &flow); err != nil || flow.Kind != "workflow" {
				t.Fatalf("%+v, %v", answer, err)
			}
			dir, _ := r.archive.In.(archive.Dir)
			r.flows, r.tools = newFlows(), newFirst[*loaded](loadedFor, mostCached) // as if another server took it forward
			if name == "a tool of a project" {
				w, err := r.store.Workflow(t.Context(), flow.ID)
				if err != nil {
					t.Fatal(err)
				}
				var q flowRequest
				if err := json.Unmarshal(w.Request, &q); err != nil {
					t.Fatal(err)
				}
				if _, err := r.load(t.Context(), &q.Bundle); err != nil { // only the file of the tool is missing
					t.Fatal(err)
				}
			}
			if err := os.Rename(string(dir), string(dir)+"-away"); err != nil {
				t.Fatal(err)
			}
			var missing *outageError
			if err := r.forwardOne(t.Context(), flow.ID); !errors.As(err, &missing) {
				t.Errorf("without the archive: %v", err)
			}
			if err := os.Rename(string(dir)+"-away", string(dir)); err != nil {
				t.Fatal(err)
			}
			if err := r.forwardOne(t.Context(), flow.ID); err != nil {
				t.Errorf("with the archive: %v", err)
			}
			if w, err := r.store.Run(t.Context(), "own", flow.ID); err != nil || w.Over {
				t.Errorf("it is %s, %v", w.Status, err)
			}
		})
	}
}

// TestCancelUnreadable cancels workflows that can't go on at the moment, and perhaps never: they end.
func TestCancelUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, r *rig, id string){
		"its files are missing": func(t *testing.T, r *rig, _ string) {
			r.flows, r.tools = newFlows(), newFirst[*loaded](loadedFor, mostCached)
			dir, _ := r.archive.In.(archive.Dir)
			if err := os.RemoveAll(string(dir)); err != nil {
				t.Fatal(err)
			}
		},
		"its journal is sealed for a key that is lost": func(t *testing.T, r *rig, id string) {
			entry, err := json.Marshal(workflow.Entry{Type: workflow.EntryStep, Step: "a", Status: run.Succeeded, Sealed: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			w, err := r.store.Workflow(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.store.StepForward(t.Context(), store.StepForward{Run: id, After: int64(len(w.Journal)), Seen: w.Happened, Entries: [][]byte{entry}}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			answer := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs", `{"bundle":`+r.bundle(t, oneFlow)+`}`)
			var flow api.Run
			if err := json.Unmarshal([]byte(answer.body), &flow); err != nil || flow.Kind != "workflow" {
				t.Fatalf("%+v, %v", answer, err)
			}
			spoil(t, r, flow.ID)
			if err := r.forwardOne(t.Context(), flow.ID); err == nil {
				t.Error("it goes on")
			}
			if w, err := r.store.Run(t.Context(), "own", flow.ID); err != nil || w.Over {
				t.Fatalf("before the cancel it is %s, %v", w.Status, err)
			}
			if answer := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs/"+flow.ID+"/cancel", ""); answer.status != http.StatusAccepted && answer.status != http.StatusOK {
				t.Fatalf("cancel: %+v", answer)
			}
			if err := r.forwardOne(t.Context(), flow.ID); err == nil {
				t.Error("it ends at the first failure after the cancel")
			}
			for range 10 { // a minute and more
				r.flows.went(flow.ID, errors.New("as before"))
			}
			if err := r.forwardOne(t.Context(), flow.ID); err != nil {
				t.Errorf("after the cancel: %v", err)
			}
			if w, err := r.store.Run(t.Context(), "own", flow.ID); err != nil || !w.Over {
				t.Errorf("after the cancel it is %s, %v", w.Status, err)
			}
		})
	}
}
