//go:build linux

package testbed

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// EngineEnv names the engine that attacks run on; empty is the embedded one.
const EngineEnv = "MAYFLY_TEST_ENGINE"

// UnderTest is the engine that attacks run on: whatever engine passes package enginetest can be added here.
func UnderTest(tb testing.TB) engine.Engine {
	tb.Helper()
	engines := map[string]func() engine.Engine{
		"":       func() engine.Engine { return Engine(tb) },
		"gvisor": func() engine.Engine { return under{Engine(tb), "gvisor", GVisorProcesses} },
	}
	made, known := engines[os.Getenv(EngineEnv)]
	if !known {
		var names []string
		for name := range engines {
			names = append(names, name)
		}
		slices.Sort(names)
		tb.Fatalf("%s=%s is not an engine; there are %q", EngineEnv, os.Getenv(EngineEnv), strings.Join(names, " "))
	}
	return made()
}

// GVisorProcesses is how many processes and threads gVisor has beside the tool's.
const GVisorProcesses = 192

// under is an engine with a runtime that isn't its own: each spec that names none gets it.
type under struct {
	engine.Engine
	name string
	own  int64 // processes that the runtime has
}

func (r under) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	if spec.Security.Runtime == "" {
		own := *spec
		own.Security.Runtime = r.name
		own.Resources.PIDs += r.own
		spec = &own
	}
	return r.Engine.Start(ctx, spec, local, streams)
}
