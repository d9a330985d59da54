package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

const cached = "name: deployer\nimage: r.example.com/team/app:1\ncommand: [x]\nvolumes: [{name: c, cache: pip, mount_path: /c}]\n"

// cacheOf returns the path of the cache that a run of a definition would use, below the directory of caches.
func cacheOf(t *testing.T, dir, definition string, change func(*run.Request)) string {
	t.Helper()
	d, err := tool.Parse("t.yaml", []byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	d.Source.Dir = dir
	req := &run.Request{Tool: d}
	if change != nil {
		change(req)
	}
	r := &Runner{Places: Places{Caches: "/caches"}}
	p, err := r.Prepare("id", req, func(ref string) (*image.Image, error) { return &image.Image{Reference: ref}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Spec.Mounts[0]; m.Kind != engine.MountCache || p.Local.Folders[m.Folder] != "/caches" {
		t.Fatalf("%+v", m)
	}
	return p.Spec.Mounts[0].Path
}

// TestCachesBelongToAProjectAToolAndAnImage: someone who chooses names can't choose what another project's tool finds in its
// cache (attack I22).
func TestCachesBelongToAProjectAToolAndAnImage(t *testing.T) {
	good, evil := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(good)
	own := cacheOf(t, good, cached, nil)
	if !strings.HasPrefix(own, "deployer/pip/") || len(own) != len("deployer/pip/")+32 {
		t.Errorf("the cache is %s", own)
	}
	named := func(project string) func(*run.Request) { return func(r *run.Request) { r.Project = project } }
	mocked := func(r *run.Request) { r.Mocks = &engine.Mocks{} }
	for name, c := range map[string]struct {
		path string
		same bool
	}{
		"the same file again":          {cacheOf(t, good, cached, nil), true},
		"through a link":               {cacheOf(t, link, cached, nil), true},
		"by a relative path":           {cacheOf(t, ".", cached, nil), true},
		"another version of its image": {cacheOf(t, good, strings.Replace(cached, "app:1", "app:2", 1), nil), true},
		"a digest of its image":        {cacheOf(t, good, strings.Replace(cached, "app:1", "app@sha256:"+strings.Repeat("0", 64), 1), nil), true},
		"another command":              {cacheOf(t, good, strings.Replace(cached, "[x]", "[y]", 1), nil), true},
		"another folder":               {cacheOf(t, evil, cached, nil), false},
		"standard input, there":        {cacheOf(t, "", cached, nil), false},
		"another image":                {cacheOf(t, good, strings.Replace(cached, "team/", "other/", 1), nil), false},
		"another registry":             {cacheOf(t, good, strings.Replace(cached, "r.example", "s.example", 1), nil), false},
		"another tool":                 {cacheOf(t, good, strings.Replace(cached, "deployer", "deploy", 1), nil), false},
		"another cache":                {cacheOf(t, good, strings.Replace(cached, "cache: pip", "cache: pip2", 1), nil), false},
		"a test of it":                 {cacheOf(t, good, cached, mocked), false},
		"a server's project":           {cacheOf(t, good, cached, named("folder of a server")), false},
	} {
		// The hash alone distinguishes them, also on a file system that ignores case.
		if (filepath.Base(c.path) == filepath.Base(own)) != c.same {
			t.Errorf("%s: got %s, and the tool's own is %s; want the same: %v", name, c.path, own, c.same)
		}
	}
	if a, b := cacheOf(t, good, cached, named("p")), cacheOf(t, evil, cached, named("p")); a != b {
		t.Errorf("a server's project has two caches: %s, %s", a, b)
	}
}

func TestNamedCachesAreDropped(t *testing.T) {
	caches := t.TempDir()
	d, err := tool.Parse("t.yaml", []byte(cached))
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(caches, "deployer", "pip.tar")
	other := filepath.Join(caches, "deployer", "other.tar")
	if err := os.Mkdir(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{old, other} {
		if err := os.WriteFile(f, []byte("planted"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"pip", ""} {
		got, err := DropNamedCaches(caches, d)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("run %d drops %q (%v), want %q", i, got, err, want)
		}
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the cache still exists")
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a cache with another name: %v", err)
	}
}
