//go:build linux

package security

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestM08_TheOutputIsOneFile tries to replace the output file, as the tool. The file is a mount point, which nothing can
// replace.
func TestM08_TheOutputIsOneFile(t *testing.T) {
	b := newBox(t)
	for _, script := range []string{
		`rm -f $MAYFLY_OUTPUT; ln -sf ` + b.canary.path + ` $MAYFLY_OUTPUT`,
		`mv $MAYFLY_OUTPUT /tmp/x; mkfifo $MAYFLY_OUTPUT`,
		`rm -f $MAYFLY_OUTPUT; mknod $MAYFLY_OUTPUT c 1 5`,
		`rm -rf $MAYFLY_OUTPUT; mkdir -p $MAYFLY_OUTPUT`,
		`mv /run/mayfly /run/other; mkdir -p /run/mayfly; ln -s ` + b.canary.path + ` /run/mayfly/output`,
		`cd /run; rm -rf mayfly; ln -s ` + b.canary.dir + ` mayfly`,
		`ln -f $MAYFLY_OUTPUT /tmp/x; chmod 777 $MAYFLY_OUTPUT; truncate -s 100G $MAYFLY_OUTPUT`,
	} {
		spec := b.shell(script + "; true")
		spec.MaxOutputBytes, spec.Security.Writable = 1<<20, true
		r, err := b.try(spec, nil)
		if err != nil {
			t.Errorf("%s: %v", script, err)
		}
		if len(r.Output) > 1<<20 || strings.Trim(string(r.Output), "\x00") != "" {
			t.Errorf("%s: output %.100q", script, r.Output)
		}
		b.canary.unchanged()
	}
}

// TestM08_TheOutputsPlaceInTheImage tries images that have something else in the place of the output file.
func TestM08_TheOutputsPlaceInTheImage(t *testing.T) {
	c := newCanary(t)
	for name, f := range map[string]imagetest.File{
		"link":      link("run/mayfly/output", c.path),
		"FIFO":      {Name: "run/mayfly/output", Type: tar.TypeFifo},
		"device":    {Name: "run/mayfly/output", Type: tar.TypeChar},
		"directory": {Name: "run/mayfly/output/"},
		"file":      {Name: "run/mayfly/output", Body: "OF THE IMAGE"},
	} {
		b := newBox(t)
		b.canary = c
		b.image = imageOf(t, imagetest.File{Name: "run/"}, imagetest.File{Name: "run/mayfly/"}, f)
		spec := b.shell(`cat $MAYFLY_OUTPUT; echo A=b > $MAYFLY_OUTPUT`)
		spec.MaxOutputBytes = 1 << 20
		r, err := b.try(spec, nil)
		if err == nil && (string(r.Output) != "A=b\n" && len(r.Output) > 0 || strings.Contains(r.stdout, "IMAGE")) {
			t.Errorf("%s: %+v", name, r)
		}
		c.unchanged()
	}
}

// TestM08_FilesOfTheToolStayInItsFolder checks that links in a tool's folder don't lead out of it: the folder may come from
// someone else's repository.
func TestM08_FilesOfTheToolStayInItsFolder(t *testing.T) {
	b := newBox(t)
	folder := filepath.Join(t.TempDir(), "tool")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(folder, "sub"), 0o755),
		os.WriteFile(filepath.Join(folder, "sub", "fine"), []byte("fine"), 0o644),
		os.Symlink(b.canary.path, filepath.Join(folder, "link")),
		os.Symlink(b.canary.dir, filepath.Join(folder, "folder")),
		os.Symlink("../../../../../../../../.."+b.canary.path, filepath.Join(folder, "up")),
		os.Symlink(b.canary.path, filepath.Join(folder, "sub", "inner")),
		os.Symlink("/proc/self/fd", filepath.Join(folder, "descriptors")),
		os.Symlink("/", filepath.Join(folder, "sub", "root")),
		syscall.Mkfifo(filepath.Join(folder, "fifo"), 0o644),
		os.Symlink("/dev/zero", filepath.Join(folder, "zero")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	script := `cat /data /data/* /data/inner /data/root` + b.canary.path + ` /data/canary; echo attack >> /data; echo attack >> /data/inner; true`
	for _, path := range []string{
		"link", "folder", "folder/canary", "up", "descriptors/3", "fifo", "zero", "..", "../..", "sub/../../..", "sub/inner", "sub/root" + b.canary.path, b.canary.path,
	} {
		spec := b.shell(script)
		b.folders = map[string]string{"host": folder}
		spec.Mounts = []engine.Mount{{Kind: engine.MountFile, Folder: "host", Path: path, Target: "/data"}}
		if r, err := b.try(spec, nil); err == nil {
			t.Errorf("volume of %s: it ran: %+v", path, r)
		}
		b.canary.unchanged()
	}
	// A folder with links is copied with them. The links lead nowhere.
	spec := b.shell(script)
	b.folders = map[string]string{"host": folder}
	spec.Mounts = []engine.Mount{{Kind: engine.MountFile, Folder: "host", Path: "sub", Target: "/data"}}
	if r := b.run(spec, nil); !strings.Contains(r.stdout, "fine") {
		t.Errorf("%+v", r)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "sub", "fine")); err != nil || string(data) != "fine" {
		t.Errorf("the tool's own file has %q, %v", data, err)
	}
}

// TestM08_CachesTakeNoLinksOut checks that links in a cache don't lead out of it: the shim unpacks what a run left in its cache
// for the next run.
func TestM08_CachesTakeNoLinksOut(t *testing.T) {
	b := newBox(t)
	kept := t.TempDir()
	b.folders = map[string]string{"host": kept}
	cache := []engine.Mount{{Kind: engine.MountCache, Target: "/cache", Folder: "host", Path: "t/c"}}
	spec := b.shell(`cd /cache; ln -s ` + b.canary.path + ` link; ln -s ` + b.canary.dir + ` dir; mkfifo fifo; mkdir -p a/b; ln -s ../../../../../../../.. a/b/up; echo kept > file`)
	spec.Mounts = cache
	if r := b.run(spec, nil); r.Code != 0 && !strings.Contains(r.stderr, "mkfifo") {
		t.Errorf("%+v", r)
	}
	spec = b.shell(`cd /cache; cat file link dir/canary a/b/up` + b.canary.path + `; echo attack > link; ls`)
	spec.Mounts = cache
	if r := b.run(spec, nil); !strings.HasPrefix(r.stdout, "kept\n") {
		t.Errorf("%+v", r)
	}
}
