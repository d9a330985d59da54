package cli

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestResumeRemoteRefuses checks that no flag is ignored that a resumed run of a server can't take.
func TestResumeRemoteRefuses(t *testing.T) {
	for name, set := range map[string]func(*runFlags){
		"env-file": func(f *runFlags) { f.envFile = "e" },
		"user":     func(f *runFlags) { f.user = "1" },
		"network":  func(f *runFlags) { f.network = "none" },
		"grace":    func(f *runFlags) { f.grace++ },
		"timeout":  func(f *runFlags) { f.timeout = "1s" },
		"memory":   func(f *runFlags) { *f.resources["memory"] = "1Gi" },
	} {
		t.Run(name, func(t *testing.T) {
			f := &runFlags{resume: "id", pull: "missing", grace: run.DefaultGrace, resources: map[string]*string{"memory": new(string)}}
			set(f)
			if err := f.resumeRemote(t.Context(), streams{}, nil); err == nil || !strings.Contains(err.Error(), "a resumed run keeps its inputs") {
				t.Errorf("got %v", err)
			}
		})
	}
}
