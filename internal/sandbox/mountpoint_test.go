package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// An ordinary user's sandbox hides nothing that its run needs, wherever links lead to it.
func TestMountPointHidesNothing(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mnt, media, file, link, linked := filepath.Join(top, "mnt"), filepath.Join(top, "media"), filepath.Join(top, "file"), filepath.Join(top, "link"), filepath.Join(top, "linked")
	for _, dir := range []string{mnt, media} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.WriteFile(file, nil, 0o600), os.Symlink("mnt", link), os.Symlink("media", linked)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	source := func(path string) func(*engine.Spec) {
		return func(s *engine.Spec) { s.Mounts = []engine.Mount{{Kind: engine.MountFile, Source: path}} }
	}
	for name, c := range map[string]struct {
		change func(*engine.Spec)
		want   string
	}{
		"nothing there":         {source(""), mnt},
		"the tool's folder":     {source(filepath.Join(mnt, "tools")), media},
		"the folder itself":     {source(mnt), media},
		"a link":                {source(link), media},
		"a cache below a link":  {source(filepath.Join(link, "caches", "new")), media},
		"a name that is longer": {source(mnt + "-of-ours"), mnt},
		"layers":                {func(s *engine.Spec) { s.Image.Layers[0] = mnt + "/layers/sha256-0/tree" }, media},
		"the image's record":    {func(s *engine.Spec) { s.Image.HoldFile = mnt + "/images/x.json" }, media},
		"mocks of connections":  {func(s *engine.Spec) { s.Mocks = &engine.Mocks{Connections: mnt + "/a"} }, media},
		"mocks of commands":     {func(s *engine.Spec) { s.Mocks = &engine.Mocks{CommandSocket: mnt + "/a"} }, media},
		"both":                  {func(s *engine.Spec) { s.Mocks = &engine.Mocks{Connections: mnt + "/a", CommandSocket: media + "/b"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &engine.Spec{Image: engine.Image{Layers: []string{"/home/u/images/layers/sha256-0/tree"}}}
			c.change(spec)
			needed, err := neededPaths(&wire.Start{Dir: "/run/user/1000/mayfly/runs/id", Rootless: true, Spec: spec})
			if err != nil {
				t.Fatal(err)
			}
			if got := freeMountPoint([]string{filepath.Join(top, "missing"), file, mnt, linked}, needed); got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
}
