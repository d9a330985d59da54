//go:build linux

package security

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// TestI01_OnlyTheStandardStreamsAreInherited lists the tool's descriptors.
func TestI01_OnlyTheStandardStreamsAreInherited(t *testing.T) {
	b := newBox(t)
	stream := "pipe:"
	if b.engine.OwnKernel {
		stream = "host:" // so gVisor calls what it has from its host
	}
	onlyStreams(t, b.attack("fds"), stream)

	// The same for a child, and for a run with a secret, an output, volumes and a network.
	spec := b.shell(`attacker fds`)
	spec.MaxOutputBytes = 100
	spec.Network.Mode = network.ModePublic
	spec.Environment = []engine.Variable{{Name: "TOKEN", Secret: "token"}}
	b.folders = map[string]string{"host": t.TempDir()}
	spec.Mounts = []engine.Mount{
		{Kind: engine.MountSecret, Secret: "token", Target: "/secrets/token"},
		{Kind: engine.MountScratch, Target: "/data", Size: 1 << 20},
		{Kind: engine.MountCache, Target: "/cache", Folder: "host", Path: "c"},
	}
	onlyStreams(t, b.run(spec, engine.Secrets{"token": []byte("t0ken")}).lines(), stream)
}

func onlyStreams(t *testing.T, fds map[string]string, stream string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(fds)); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("descriptors %v", fds)
	}
	for fd, to := range fds {
		if to != "/dev/null" && !strings.HasPrefix(to, stream) {
			t.Errorf("descriptor %s is %s", fd, to)
		}
	}
}
