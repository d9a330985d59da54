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

// Subject is an engine under test.
type Subject struct {
	engine.Engine
	// OwnKernel says that a part of the sandbox answers a tool's system calls, instead of the host's kernel. Errors and the
	// content of /proc are then that kernel's, so an attack checks its effect on the host.
	OwnKernel bool
	// Processes is the number of processes and threads of a sandbox beside the tool's. They count towards the tool's limit.
	Processes int
	// LeastMemory is the memory of a sandbox without its tool's, in bytes.
	LeastMemory int64
}

// Embedded returns the embedded engine, for attacks on parts that only it has.
func Embedded(tb testing.TB) Subject {
	tb.Helper()
	return Subject{Engine: Engine(tb)}
}

// UnderTest returns the engine that attacks run on. Every engine that passes package enginetest can be added here.
func UnderTest(tb testing.TB) Subject {
	tb.Helper()
	engines := map[string]func() Subject{
		"": func() Subject { return Embedded(tb) },
		"gvisor": func() Subject {
			e := withRuntime{Engine(tb), "gvisor", GVisorProcesses}
			return Subject{Engine: e, OwnKernel: true, Processes: GVisorProcesses, LeastMemory: 96 << 20}
		},
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
