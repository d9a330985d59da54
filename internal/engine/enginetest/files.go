package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func testImage(t *testing.T, h *Harness) {
	if r := h.run(t, h.Spec(ShowFile, "/etc/passwd"), nil, nil); len(r.stdout) < 5 || r.stdout[:5] != "root:" {
		t.Errorf("the image's /etc/passwd: got %.20q, want it to begin with root:", r.stdout)
	}
}

func testUser(t *testing.T, h *Harness) {
	for user, want := range map[string]string{"": "0\n0\n", "1000:1001": "1000\n1001\n", "nobody": "65534\n65534\n", "nobody:nogroup": "65534\n65534\n"} {
		spec := h.Spec(Who, "")
		spec.User = user
		if r := h.run(t, spec, nil, nil); r.stdout != want {
			t.Errorf("ids of user %q: got %q, want %q", user, r.stdout, want)
		}
	}
	spec := h.Spec(Who, "")
	spec.User = "nobody-knows-them"
	if _, err := h.Start(t.Context(), spec, nil, engine.Streams{}); !isInvalid(err) {
		t.Errorf("an unknown user: got %v, want an InvalidError", err)
	}
}

func testContentFile(t *testing.T, h *Harness) {
	const at = "/etc/tool/config.txt"
	for _, executable := range []bool{false, true} {
		mounts := []engine.Mount{{Kind: engine.MountContent, Target: at, Content: []byte("content\n"), Executable: executable}}
		spec := h.Spec(ShowFile, at)
		spec.Mounts = mounts
		if r := h.run(t, spec, nil, nil); r.stdout != "content\n" {
			t.Errorf("the file: got %q, want its content: %s", r.stdout, r.stderr)
		}
		spec = h.Spec(RunFile, at)
		spec.Mounts = mounts
		if r := h.run(t, spec, nil, nil); r.exit.Code == 0 != executable {
			t.Errorf("executable: got %v, want %v", r.exit.Code == 0, executable)
		}
		spec = h.Spec(WriteFile, at)
		spec.Mounts = mounts
		if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
			t.Error("the file is writable")
		}
	}
}

// testFiles copies files and folders of the tool's folder; nothing outside it is read.
func testFiles(t *testing.T, h *Harness) {
	folder, outside := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(folder, "one.txt"): "one\n", filepath.Join(folder, "sub", "two.txt"): "two\n", filepath.Join(outside, "secret"): "s",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	mount := func(spec *engine.Spec, path string) engine.Local {
		spec.Mounts = []engine.Mount{{Kind: engine.MountFile, Target: "/data", Folder: "tool", Path: path}}
		return engine.Local{Image: h.Unpacked, Folders: map[string]string{"tool": folder}}
	}
	for path, c := range map[string]struct{ shown, want string }{
		"one.txt": {"/data", "one\n"}, "sub": {"/data/two.txt", "two\n"}, "sub/two.txt": {"/data", "two\n"},
	} {
		spec := h.Spec(ShowFile, c.shown)
		local := mount(spec, path)
		if r := h.runWith(t, spec, local, nil); r.stdout != c.want {
			t.Errorf("%s: got %q, want %q: %s", path, r.stdout, c.want, r.stderr)
		}
	}
	spec := h.Spec(WriteFile, "/data/two.txt")
	if r := h.runWith(t, spec, mount(spec, "sub"), nil); r.exit.Code == 0 {
		t.Error("the copy is writable")
	}
	for _, path := range []string{"link", "../" + filepath.Base(outside) + "/secret", "missing"} {
		spec := h.Spec(ShowFile, "/data")
		s, err := h.Engine.Start(t.Context(), spec, mount(spec, path), engine.Streams{})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s was mounted", path)
		}
	}
}

func testScratch(t *testing.T, h *Harness) {
	for size, fits := range map[int]bool{512 << 10: true, 2 << 20: false} {
		spec := h.Spec(Fill, fmt.Sprint("/data/f ", size))
		spec.Mounts = []engine.Mount{{Kind: engine.MountScratch, Target: "/data", Size: 1 << 20}}
		if r := h.run(t, spec, nil, nil); r.exit.Code == 0 != fits {
			t.Errorf("%d bytes of 1 MiB: %+v", size, r)
		}
	}
	spec := h.Spec(ShowFile, "/data/f")
	spec.Mounts = []engine.Mount{{Kind: engine.MountScratch, Target: "/data"}}
	if r := h.run(t, spec, nil, nil); r.exit.Code == 0 {
		t.Error("a scratch volume contains a file of an earlier run")
	}
}

// testCache appends to a cached file in each run: a success is kept, a failure isn't.
func testCache(t *testing.T, h *Harness) {
	folder := t.TempDir()
	local := engine.Local{Image: h.Unpacked, Folders: map[string]string{"caches": folder}}
	cached := func(p Program, argument string) *engine.Spec {
		spec := h.Spec(p, argument)
		spec.Mounts = []engine.Mount{{Kind: engine.MountCache, Target: "/cache", Folder: "caches", Path: "tool/pip", Size: 1 << 20}}
		return spec
	}
	for _, want := range []string{"x", "xx"} {
		if r := h.runWith(t, cached(WriteFile, "/cache/f"), local, nil); r.exit.Code != 0 {
			t.Fatalf("%+v", r)
		}
		if r := h.runWith(t, cached(Fill, "/cache/other "+fmt.Sprint(2<<20)), local, nil); r.exit.Code == 0 {
			t.Errorf("2 MiB in a cache of 1 MiB: %+v", r)
		}
		if r := h.runWith(t, cached(WriteAndFail, "/cache/f"), local, nil); r.exit.Code != 3 {
			t.Errorf("%+v", r)
		}
		if r := h.runWith(t, cached(ShowFile, "/cache/f"), local, nil); r.stdout != want {
			t.Errorf("the cached file: got %q, want %q", r.stdout, want)
		}
	}
	if r := h.runWith(t, cached(ShowFile, "/cache/other"), local, nil); r.exit.Code == 0 {
		t.Error("a run that failed changed the cache")
	}
}

// testArtifacts passes an artifact of one run to two others; the first can't change it for the second.
func testArtifacts(t *testing.T, h *Harness) {
	folder := t.TempDir()
	local := engine.Local{Image: h.Unpacked, Folders: map[string]string{"artifacts": folder}}
	with := func(kind engine.MountKind, p Program, argument string) *engine.Spec {
		spec := h.Spec(p, argument)
		spec.Mounts = []engine.Mount{{Kind: kind, Target: "/a", Folder: "artifacts", Path: "out"}}
		return spec
	}
	if r := h.runWith(t, with(engine.MountArtifact, WriteFile, "/a/f"), local, nil); r.exit.Code != 0 {
		t.Fatalf("%+v", r)
	}
	for range 2 {
		if r := h.runWith(t, with(engine.MountHanded, ShowFile, "/a/f"), local, nil); r.stdout != "x" {
			t.Errorf("the artifact: got %q, want \"x\"", r.stdout)
		}
		if r := h.runWith(t, with(engine.MountHanded, WriteFile, "/a/f"), local, nil); r.exit.Code != 0 {
			t.Errorf("the copy isn't writable: %+v", r)
		}
	}
}

func testWritable(t *testing.T, h *Harness) {
	for _, c := range []struct {
		path            string
		writable, wants bool
	}{{"/etc/new", false, false}, {"/etc/new", true, true}, {"/srv/data/new", false, true}, {"/tmp/new", false, true}} {
		spec := h.Spec(WriteFile, c.path)
		spec.Volumes = []string{"/srv/data"}
		spec.Security.Writable = c.writable
		if r := h.run(t, spec, nil, nil); r.exit.Code == 0 != c.wants {
			t.Errorf("%s can be written: got %v, want %v (Security.Writable %v): %s", c.path, r.exit.Code == 0, c.wants, c.writable, r.stderr)
		}
	}
}
