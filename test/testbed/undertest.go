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

// EngineEnv names the environment variable with the engine that attacks run on. If it is empty, that is the embedded one.
const EngineEnv = "MAYFLY_TEST_ENGINE"

// UnderTest returns the engine that attacks run on. Every engine that passes package enginetest can be added here.
func UnderTest(tb testing.TB) engine.Engine {
	tb.Helper()
	engines := map[string]func() engine.Engine{
		"":       func() engine.Engine { return Engine(tb) },
		"gvisor": func() engine.Engine { return withRuntime{Engine(tb), "gvisor", GVisorProcesses} },
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

// GVisorProcesses is how many processes and threads gVisor has besides those of the tool.
const GVisorProcesses = 192

// withRuntime is an engine that sets a runtime in each spec that names none.
type withRuntime struct {
	engine.Engine
	name string
	own  int64 // processes that the runtime itself has
}

func (r withRuntime) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	if spec.Security.Runtime == "" {
		own := *spec
		own.Security.Runtime = r.name
		own.Resources.PIDs += r.own
		spec = &own
	}
	return r.Engine.Start(ctx, spec, local, streams)
}
