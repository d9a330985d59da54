//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestI16_FullDiskIsOnlyItsRuns fills every writable place, with a disk limit below the memory limit.
func TestI16_FullDiskIsOnlyItsRuns(t *testing.T) {
	b := newBox(t)
	neighbour := b.mustStart(b.shell("while :; do head -c 100000 /dev/zero > /tmp/f && echo tick; sleep 0.05; done"))
	neighbour.stdout.until(t, "tick")
	const disk = 16 << 20
	all := []string{"/tmp", "/dev/shm", "/root", ".", "/data", "/dev", "/"}
	if b.engine.OwnKernel { // its /dev is in its memory, and counts there
		all = []string{"/tmp", "/dev/shm", "/root", ".", "/data", "/"}
		if r := b.run(b.spec("attacker", "fill", "/dev"), nil); !r.OutOfMemory || r.Usage.DiskBytes > disk {
			t.Errorf("/dev: %+v", r)
		}
	}
	for _, writable := range []bool{false, true} {
		for _, places := range [][]string{{"/tmp"}, {"/dev/shm"}, {"/root"}, {"."}, {"/data"}, all} {
			spec := b.spec(append([]string{"attacker", "fill"}, places...)...)
			spec.Resources.Disk, spec.Security.Writable = disk, writable
			spec.Mounts = []engine.Mount{{Kind: engine.MountScratch, Target: "/data"}}
			before := strings.Count(neighbour.stdout.String(), "tick")
			r := b.run(spec, nil)
			got, total := r.lines(), 0
			for _, p := range places {
				if o := got["fill "+p]; o != "ENOSPC" && (p != "/" || o != "EROFS") {
					t.Errorf("fill %s of %v: %s", p, places, o)
				}
				n, err := strconv.Atoi(got["bytes "+p])
				if err != nil {
					t.Errorf("%v: %+v", places, r)
				}
				total += n
			}
			if total > disk+1<<20 || r.Usage.DiskBytes > disk || r.OutOfMemory {
				t.Errorf("%v: it wrote %d bytes with a limit of %d; %+v", places, total, disk, r.Exit)
			}
			neighbour.stdout.until(t, strings.Repeat("tick\n", before+1))
		}
	}
	spec := b.spec("attacker", "inodes", "/tmp", "/dev/shm", "/root", ".")
	spec.Resources.Disk = disk
	r := b.run(spec, nil)
	if r.OutOfMemory || len(r.lines()) != 8 {
		t.Errorf("it didn't get to the end: %+v", r)
	}
	made := 0
	for what, value := range r.lines() {
		if n, err := strconv.Atoi(value); err == nil {
			made += n
		} else if value != "ENOSPC" {
			t.Errorf("%s: %s", what, value)
		}
	}
	if made > disk/4096+10 {
		t.Errorf("it made %d inodes with %d bytes of disk", made, disk)
	}
	if err := neighbour.close(); err != nil {
		t.Error(err)
	}
}

// TestI16_CachesDontFillTheHost checks a cache, which is kept on the host's disk, with sparse files. They use none of the
// sandbox's disk, and must not use the host's either.
func TestI16_CachesDontFillTheHost(t *testing.T) {
	b := newBox(t)
	kept := t.TempDir()
	spec := b.shell("cd /cache; for i in 1 2 3 4; do truncate -s 1G hole$i; done; echo data > small; ls -la; echo made")
	b.folders = map[string]string{"host": kept}
	spec.Mounts = []engine.Mount{{Kind: engine.MountCache, Target: "/cache", Folder: "host", Path: "t/c"}}
	r, err := b.try(spec, nil)
	if err == nil && r.stdout == "" {
		t.Errorf("%+v", r)
	}
	used := int64(0)
	walkErr := filepath.WalkDir(kept, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		used += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if walkErr != nil {
		t.Fatal(walkErr)
	}
	if used > spec.Resources.Disk+1<<20 {
		t.Errorf("the cache takes %d bytes of the host's disk; the run's limit was %d", used, spec.Resources.Disk)
	}
	// The cache isn't poisoned: the next run starts.
	spec = b.shell("ls /cache; echo next")
	b.folders = map[string]string{"host": kept}
	spec.Mounts = []engine.Mount{{Kind: engine.MountCache, Target: "/cache", Folder: "host", Path: "t/c"}}
	if r, err := b.try(spec, nil); err != nil || !strings.Contains(r.stdout, "next") {
		t.Errorf("the next run: %+v, %v", r, err)
	}
}
