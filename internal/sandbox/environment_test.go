package sandbox

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestEnvironmentHasEachNameOnce: what a program does with two variables of one
// name is undefined (POSIX.1-2017, Base Definitions, 8.1).
func TestEnvironmentHasEachNameOnce(t *testing.T) {
	spec := &engine.Spec{MaxOutputBytes: 1, Terminal: true}
	for _, name := range []string{"MAYFLY_OUTPUT", "KUBIYA_OUTPUT", "PATH", "HOME", "TERM", "A"} { // of an image
		spec.Environment = append(spec.Environment, engine.Variable{Name: name, Value: "/image"})
	}
	got := map[string]string{}
	for _, v := range environment(spec, nil, "/home", "host") {
		name, value, _ := strings.Cut(v, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{"MAYFLY_OUTPUT": outputPath, "KUBIYA_OUTPUT": outputPath, "PATH": "/image", "HOME": "/home", "TERM": "/image", "A": "/image"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
