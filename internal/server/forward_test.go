package server

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
)

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
			r.flows, r.tools = newFlows(), newToolCache() // as if another server took it forward
			if name == "a tool of a project" {
				w, err := r.store.Workflow(t.Context(), flow.ID)
				if err != nil {
					t.Fatal(err)
				}
				var q flowRequest
				if err := json.Unmarshal(w.Request, &q); err != nil {
					t.Fatal(err)
				}
				if _, _, _, err := r.load(t.Context(), &q.Bundle); err != nil { // only the file of the tool is missing
					t.Fatal(err)
				}
			}
			if err := os.Rename(string(dir), string(dir)+"-away"); err != nil {
				t.Fatal(err)
			}
			var missing *missingContentError
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
