package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// TestCapabilitiesCheck: a spec with a feature that the engine lacks is refused, and the error names the feature. An engine
// that has the feature accepts the spec.
func TestCapabilitiesCheck(t *testing.T) {
	everything := engine.Capabilities{Runtimes: []string{"gvisor"}, Networks: network.Modes(), Mounts: engine.MountKinds(), Terminal: true, Mocks: true, Keeps: true}
	for feature, c := range map[string]struct {
		lose func(*engine.Capabilities)
		ask  func(*engine.Spec)
	}{
		`runtime "gvisor"`:            {func(c *engine.Capabilities) { c.Runtimes = nil }, func(s *engine.Spec) { s.Security.Runtime = "gvisor" }},
		`network mode "list"`:         {func(c *engine.Capabilities) { c.Networks = []network.Mode{network.ModeNone} }, func(s *engine.Spec) { s.Network.Mode = network.ModeList }},
		`volume /x of kind "scratch"`: {func(c *engine.Capabilities) { c.Mounts = nil }, func(s *engine.Spec) { s.Mounts = []engine.Mount{{Kind: engine.MountScratch, Target: "/x"}} }},
		"terminal":                    {func(c *engine.Capabilities) { c.Terminal = false }, func(s *engine.Spec) { s.Terminal = true }},
		"mocks":                       {func(c *engine.Capabilities) { c.Mocks = false }, func(s *engine.Spec) { s.Mocks = &engine.Mocks{} }},
		"keeping of a failed sandbox": {func(c *engine.Capabilities) { c.Keeps = false }, func(s *engine.Spec) { s.KeepFor = time.Minute }},
	} {
		t.Run(feature, func(t *testing.T) {
			spec := &engine.Spec{Args: []string{"true"}, Network: network.Policy{Mode: network.ModeNone}}
			c.ask(spec)
			can := everything
			if err := can.Check(spec); err != nil {
				t.Errorf("with everything: %v", err)
			}
			c.lose(&can)
			var u *engine.Unsupported
			if err := can.Check(spec); !errors.As(err, &u) || u.Feature != feature || !strings.Contains(u.Why, "this engine") || u.Remedy == "" {
				t.Errorf("without: %#v", u)
			}
		})
	}
}
