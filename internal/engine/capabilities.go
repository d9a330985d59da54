package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Capabilities is what an engine can do on its host. Start refuses anything
// else with an [*Unsupported]. It can also refuse what is listed here, for a
// reason that only a start finds.
type Capabilities struct {
	// MountsLayers says that Start needs Local.Image. Otherwise the engine has
	// its own images, and finds them by their digests.
	MountsLayers bool `json:"mounts_layers"`
	// Runtimes are the values of Security.Runtime, in addition to "" and "default".
	Runtimes []string       `json:"runtimes"`
	Networks []network.Mode `json:"networks"`
	Mounts   []MountKind    `json:"mounts"`
	Terminal bool           `json:"terminal"` // Spec.Terminal
	Mocks    bool           `json:"mocks"`    // Spec.Mocks
	Keeps    bool           `json:"keeps"`    // Spec.KeepFor; the engine is a [Keeper]
}

// Check refuses a spec that asks for what the engine can't do, with an
// [*Unsupported].
func (c *Capabilities) Check(s *Spec) error {
	unsupported := func(feature, why, remedy string) error {
		return &Unsupported{Feature: feature, Why: why, Remedy: remedy}
	}
	const other = "run the tool on an engine that can"
	if s.Security.OtherRuntime() && !slices.Contains(c.Runtimes, s.Security.Runtime) {
		return unsupported(fmt.Sprintf("runtime %q", s.Security.Runtime),
			"this engine knows only "+strings.Join(append([]string{"default"}, c.Runtimes...), " and "), "use one of these, or leave security.runtime out")
	}
	if !slices.Contains(c.Networks, s.Network.Mode) {
		return unsupported(fmt.Sprintf("network mode %q", s.Network.Mode), "this engine has no such network", other)
	}
	for _, m := range s.Mounts {
		if !slices.Contains(c.Mounts, m.Kind) {
			return unsupported(fmt.Sprintf("volume %s of kind %q", m.Target, m.Kind), "this engine has no such volumes", "use secret, file, size or cache, or an engine that has them")
		}
	}
	switch {
	case s.Terminal && !c.Terminal:
		return unsupported("terminal", "this engine gives a tool none", "leave --tty out")
	case s.Mocks != nil && !c.Mocks:
		return unsupported("mocks", "this engine connects a tool to nothing but the network", "test the tool on the embedded engine")
	case s.KeepFor > 0 && !c.Keeps:
		return unsupported("keeping of a failed sandbox", "this engine removes each sandbox at its end", "leave --keep-on-failure out")
	}
	return nil
}

// MountKinds returns all kinds of mounts.
func MountKinds() []MountKind {
	return []MountKind{MountSecret, MountContent, MountFile, MountScratch, MountCache, MountArtifact, MountHanded}
}
