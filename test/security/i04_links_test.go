//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI04_ImageLinksStayInside starts images whose directories are links to the host's, with a tool that writes wherever Mayfly
// mounts something. Each run may fail to start, or change something of the sandbox itself. The canary and the host's files must
// not change.
func TestI04_ImageLinksStayInside(t *testing.T) {
	c := newCanary(t)
	up := strings.Repeat("../", 12)
	every := 3 // one of so many targets; with MAYFLY_TEST_FULL each place has all
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		every = 1
	}
	for p, place := range []string{
		"dev", "dev/null", "dev/pts", "dev/shm", "dev/mqueue", "dev/console", "proc", "sys", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf",
		"etc/passwd", "etc/group", "tmp", "run", "run/mayfly", "run/mayfly/output", "secrets", "secrets/token", "root", "workspace", "data", "cache", "bin",
	} {
		for n, to := range []string{c.dir, c.path, up + c.dir[1:], up + c.path[1:], "/", "..", "/dev/null", "/proc/self/root" + c.dir, "/proc/1/root" + c.path} {
			if (n+p)%every == 0 {
				runLinked(t, c, place, to)
			}
		}
	}
}

// runLinked runs an image with a link from place to to, with every kind of mount.
func runLinked(t *testing.T, c *canary, place, to string) {
	t.Helper()
	var files []imagetest.File
	for dir := filepath.Dir(place); dir != "."; dir = filepath.Dir(dir) {
		files = append(files, imagetest.File{Name: dir + "/"})
	}
	b := &box{t: t, engine: testbed.UnderTest(t), canary: c, image: imageOf(t, append(files, link(place, to))...)}
	remove := "rm -rf /"
	if b.engine.OwnKernel { // if /etc is a link to /, gVisor follows forty links for each name, which takes hours
		remove = "timeout 5 " + remove
	}
	spec := b.shell(`
		for f in /etc/hosts /etc/passwd /dev/null /tmp/x /root/x /workspace/x /data/x /cache/x "$MAYFLY_OUTPUT" ` + place + ` ` + place + `/canary; do
			echo attack 2>&1 >> "$f"; chmod 0 "$f"; rm -f "$f"; cat "$f"; done
		` + remove + place + `/* ; ls -la /` + place + `/ ; true`)
	spec.MaxOutputBytes = 1000
	spec.Mounts = []engine.Mount{
		{Kind: engine.MountSecret, Target: "/secrets/token", Secret: "token"},
		{Kind: engine.MountScratch, Target: "/data", Size: 1 << 20},
		{Kind: engine.MountScratch, Target: "/cache"},
		{Kind: engine.MountContent, Target: "/run/mayfly/script", Content: []byte("text")},
	}
	r, err := b.try(spec, engine.Secrets{"token": []byte("value")})
	if err == nil && strings.Contains(r.stdout, filepath.Base(c.path)+"\n") {
		t.Errorf("%s -> %s: the tool sees the host's folder: %q", place, to, r.stdout)
	}
	c.unchanged()
	if t.Failed() {
		t.Fatalf("%s -> %s: %+v, %v", place, to, r, err)
	}
}

// linkStores has a store for each test, so that a test unpacks the layer of busybox only once.
var linkStores = map[*testing.T]*image.Store{}

// imageOf returns an image of busybox and files, in the store of the test.
func imageOf(t *testing.T, files ...imagetest.File) testbed.Image {
	t.Helper()
	store := linkStores[t]
	if store == nil {
		var err error
		if store, err = image.Open(t.TempDir(), image.Options{NoSync: true}); err != nil {
			t.Fatal(err)
		}
		linkStores[t] = store
		t.Cleanup(func() { delete(linkStores, t) })
	}
	return testbed.UnpackInto(t, store, imagetest.Config{}, imagetest.BusyboxLayer(t), imagetest.Tar(t, files...))
}
