//go:build linux

package server

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// TestPostgreSQL has a server with PostgreSQL, and flags as they are by default, do what users do first.
func TestPostgreSQL(t *testing.T) {
	s := newSite(t, "--database", postgrestest.Start(t).Database(t))
	s.write("hello.yaml", "name: hello\nimage: busybox\nargs: [{name: who, required: true}]\nscript: echo \"hello $WHO\"\n")
	s.write("both.yaml", "workflow:\n  - {name: one, tool: hello, inputs: {who: one}}\n  - {name: two, tool: hello, inputs: {who: two}, needs: [one]}\n")
	s.must("tool", "push", "hello.yaml")
	if out := s.must("run", "hello", "--arg", "who=team"); out != "hello team\n" {
		t.Errorf("the tool prints %q", out)
	}
	if a := s.run("run", "both.yaml"); a.status != 0 || !strings.Contains(a.out+a.err, "hello one") || !strings.Contains(a.out+a.err, "hello two") {
		t.Errorf("the workflow: %+v", a)
	}
	s.stop()
	s.start()
	if out := s.must("runs"); strings.Count(out, "succeeded") != 2 {
		t.Errorf("after a start the runs are:\n%s", out)
	}
	if out := s.must("audit", "verify"); !strings.Contains(out, "are as they were written") {
		t.Errorf("the audit log: %q", out)
	}
}
