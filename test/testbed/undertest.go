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

// Subject is an engine under attack.
type Subject struct {
	engine.Engine
	// OwnKernel says that what answers a tool's system calls is a part of its sandbox, and not the host's kernel. Numbers of
	// errors and what /proc shows are then that kernel's; an attack looks at what comes of it on the host.
	OwnKernel bool
	// Processes is how many processes and threads a sandbox has beside the tool's, which count for the tool's limit.
	Processes int
	// LeastMemory is what a sandbox takes, in bytes, before its tool has any.
	LeastMemory int64
}

// Embedded is the embedded engine, for attacks on parts that only it has.
func Embedded(tb testing.TB) Subject {
	tb.Helper()
	return Subject{Engine: Engine(tb)}
}

// UnderTest is the engine that attacks run on: whatever engine passes package enginetest can be added here.
func UnderTest(tb testing.TB) Subject {
	tb.Helper()
	engines := map[string]func() Subject{
		"": func() Subject { return Embedded(tb) },
		"gvisor": func() Subject {
			e := under{Engine(tb), "gvisor", GVisorProcesses}
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
