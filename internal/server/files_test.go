package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestValidate checks definitions, with the parser's own positions, and makes no version.
func TestValidate(t *testing.T) {
	r := newRig(t)
	at := "/projects/own/tools/validate"
	good := r.keyed(t, r.tokens[RoleAuthor], "", at, r.bundle(t, "name: t\ndescription: d\nimage: busybox\ncommand: [echo, a]\n"))
	var c api.Checked
	if err := json.Unmarshal([]byte(good.body), &c); err != nil || good.status != http.StatusOK || c.Kind != "tool" || c.Name != "t" || c.Description != "d" {
		t.Errorf("a good tool: %+v, %v", good, err)
	}
	flow := r.keyed(t, r.tokens[RoleAuthor], "", at, r.bundle(t, oneFlow))
	if err := json.Unmarshal([]byte(flow.body), &c); err != nil || flow.status != http.StatusOK || c.Kind != "workflow" || c.Name != "f" {
		t.Errorf("a good workflow: %+v, %v", flow, err)
	}
	bad := r.keyed(t, r.tokens[RoleAuthor], "", at, r.bundle(t, "name: t\nimage: busybox\ncomand: [echo, a]\n"))
	if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, `"where":"t.yaml:3:1"`) {
		t.Errorf("a wrong tool: %+v", bad)
	}
	if all, err := r.store.Tools(t.Context(), "own", store.Page{}); err != nil || len(all) != 0 {
		t.Errorf("tools %v, %v", all, err)
	}
}
