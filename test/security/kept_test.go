//go:build linux

package security

import (
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// keep runs a tool that fails, and keeps its sandbox. At the end of the test, it removes the sandbox and checks that nothing is
// left of it.
func (b *box) keep(t *testing.T, spec *engine.Spec) {
	t.Helper()
	spec.KeepFor = 10 * time.Minute
	s, err := b.engine.Start(t.Context(), spec, b.image.Local(nil), engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
		b.gone(spec.ID)
	})
	for range s.Events() {
	}
	if exit, err := s.Wait(); err != nil || !exit.Kept {
		t.Fatalf("%+v, %v", exit, err)
	}
}

// look runs a command in a kept sandbox, and returns what it printed and its exit status.
func (b *box) look(spec *engine.Spec, argv ...string) (said string, code int, err error) {
	out := newOutput()
	code, err = testbed.Engine(b.t).Shell(spec.ID, argv, nil, engine.Streams{Stdout: out, Stderr: out})
	return out.String(), code, err
}
