package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// TestMountPointHidesNothing: an ordinary user's sandbox hides nothing that its run needs, even if links lead to it.
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
	source := func(path string) func(*engine.Local) {
		return func(l *engine.Local) { l.Folders = map[string]string{"files": path} }
	}
	for name, c := range map[string]struct {
		change func(*engine.Local)
		want   string
	}{
		"nothing there":         {source(""), mnt},
		"the tool's folder":     {source(filepath.Join(mnt, "tools")), media},
		"the folder itself":     {source(mnt), media},
		"a link":                {source(link), media},
		"a cache below a link":  {source(filepath.Join(link, "caches", "new")), media},
		"a name that is longer": {source(mnt + "-of-ours"), mnt},
		"layers":                {func(l *engine.Local) { l.Image.Layers[0] = mnt + "/layers/sha256-0/tree" }, media},
		"the image's record":    {func(l *engine.Local) { l.Image.HoldFile = mnt + "/images/x.json" }, media},
		"mocks of connections":  {func(l *engine.Local) { l.Connections = mnt + "/a" }, media},
		"mocks of commands":     {func(l *engine.Local) { l.Commands = mnt + "/a" }, media},
		"both":                  {func(l *engine.Local) { l.Connections, l.Commands = mnt+"/a", media+"/b" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			local := engine.Local{Image: engine.Unpacked{Layers: []string{"/home/u/images/layers/sha256-0/tree"}}}
			c.change(&local)
			needed, err := neededPaths(&wire.Start{Dir: "/run/user/1000/mayfly/runs/id", Rootless: true, Local: local})
			if err != nil {
				t.Fatal(err)
			}
			if got := freeMountPoint([]string{filepath.Join(top, "missing"), file, mnt, linked}, needed); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
