//go:build linux

package server

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// disk is a file system in a file, of which only what was written through to it is in the file. The file is in another file system
// that can clone files, so that a clone is what the disk has at one moment: all that is left after a power loss.
//
//	server ── write, fsync ──▶ ext4 ── O_DIRECT ──▶ disk.img on xfs ── clone ──▶ lost.img ──▶ ext4 ──▶ another server
type disk struct {
	t    *testing.T
	pool string // where the files are
	dir  string // where the file system is mounted
}

func command(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// attach mounts the file system in a file until the end of the test.
func attach(t *testing.T, file, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	device := command(t, "losetup", "--find", "--show", "--direct-io=on", file)
	t.Cleanup(func() { command(t, "losetup", "--detach", device) })
	command(t, "mount", device, dir)
	t.Cleanup(func() {
		// A device is let go of a moment after its file system.
		eventually(t, dir+" is unmounted", func() bool { return exec.Command("umount", dir).Run() == nil })
	})
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	top := t.TempDir()
	d := &disk{t: t, pool: filepath.Join(top, "pool"), dir: filepath.Join(top, "disk")}
	file := func(name, size string) string {
		path := filepath.Join(top, name)
		command(t, "truncate", "--size", size, path)
		return path
	}
	pool := file("pool.img", "2G")
	command(t, "mkfs.xfs", "-q", "-m", "reflink=1", pool)
	attach(t, pool, d.pool)
	image := filepath.Join(d.pool, "disk.img")
	command(t, "truncate", "--size", "512M", image)
	command(t, "mkfs.ext4", "-q", image)
	attach(t, image, d.dir)
	return d
}

// lose returns a folder with what is on the disk at this moment, after its file system was recovered.
func (d *disk) lose(name string) string {
	d.t.Helper()
	lost := filepath.Join(d.pool, name)
	command(d.t, "cp", "--reflink=always", filepath.Join(d.pool, "disk.img"), lost)
	dir := d.dir + "-" + name
	attach(d.t, lost, dir)
	return dir
}

// TestPowerLoss takes the power from a server's disk while clients ask for runs: every run that was accepted is there afterwards, and
// each that was seen to have ended has ended in the same way.
func TestPowerLoss(t *testing.T) {
	losses := 2
	if full {
		losses = 10
	}
	d := newDisk(t)
	s := serverAt(t, filepath.Join(d.dir, "data"), "--with-runner", "--name", "here")
	s.write("quick.yaml", "name: quick\nimage: busybox\ncommand: [echo, hello]\n")
	s.must("tool", "push", "quick.yaml")
	client := s.client()
	for n := range losses {
		var mu sync.Mutex
		var accepted []string
		asking, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		halt := sync.OnceFunc(func() {
			stop()
			work.Wait()
		})
		t.Cleanup(halt)
		for range 8 {
			work.Go(func() {
				for asking.Err() == nil {
					r, err := client.CreateRun(asking, "default", &api.NewRun{Tool: "quick"})
					if err != nil {
						if asking.Err() == nil {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					accepted = append(accepted, r.ID)
					mu.Unlock()
					time.Sleep(20 * time.Millisecond) // for the runner, which starts a sandbox for each
				}
			})
		}
		time.Sleep(time.Second) // under load
		var before []string
		var list *api.RunList
		eventually(t, "one of these runs has succeeded", func() bool {
			var err error
			if list, err = client.Runs(t.Context(), "default", api.RunFilter{Limit: 1000, Status: []string{"succeeded"}}); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			before = slices.Clone(accepted)
			return slices.ContainsFunc(list.Runs, func(r api.Run) bool { return slices.Contains(before, r.ID) })
		})
		lost := d.lose(string(rune('a' + n)))
		halt()
		after := serverAt(t, filepath.Join(lost, "data"))
		survived(t, after.client(), before, list.Runs)
		after.stop()
	}
}

// survived checks what a server has after its disk lost power.
func survived(t *testing.T, client *api.Client, accepted []string, succeeded []api.Run) {
	t.Helper()
	missing := 0
	for _, id := range accepted {
		if _, err := client.Run(t.Context(), "default", id); err != nil {
			missing++
		}
	}
	forgot := 0
	for _, r := range succeeded {
		if one, err := client.Run(t.Context(), "default", r.ID); err != nil || one.Status != r.Status {
			forgot++
		}
	}
	if missing > 0 || forgot > 0 {
		t.Errorf("of %d runs that were accepted, %d are missing; of %d that had ended, %d have not", len(accepted), missing, len(succeeded), forgot)
	}
	t.Logf("%d accepted and %d ended runs are there", len(accepted), len(succeeded))
}

// fill takes the space of a file system, and returns a function that gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// small makes a file system of 24 MB.
func small(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	image, dir := filepath.Join(top, "small.img"), filepath.Join(top, "small")
	command(t, "truncate", "--size", "24M", image)
	command(t, "mkfs.ext4", "-q", "-m", "0", image)
	attach(t, image, dir)
	return dir
}

// TestDiskFull fills the disk of a server: what would need space is refused and says so, what is there can be read, and once there is
// space again, everything goes on.
func TestDiskFull(t *testing.T) {
	dir := small(t)
	s := serverAt(t, filepath.Join(dir, "data"), "--with-runner", "--name", "here")
	s.write("quick.yaml", "name: quick\nimage: busybox\nargs: [{name: text, default: x}]\ncommand: [echo, hello]\n")
	s.must("tool", "push", "quick.yaml")
	id := strings.TrimSpace(s.must("run", "quick", "--detach"))
	s.wait("hello", "logs", "-f", id)
	free := fill(t, dir)
	const want = "mayfly: the server's disk is full; free space in its folder, or give it a larger disk\n"
	text := "text=" + strings.Repeat("0123456789abcdef", 4<<10)
	eventually(t, "a run is refused", func() bool { // the database has some space of its own
		a := s.run("run", "quick", "--detach", "--arg", text)
		if a.status != 0 && a.err != want {
			t.Fatalf("status %d, %q, want %q", a.status, a.err, want)
		}
		return a.status != 0
	})
	s.write("other.yaml", "name: other\nimage: busybox\ncommand: [echo, "+strings.Repeat("x", 1<<16)+"]\n")
	if a := s.run("tool", "push", "other.yaml"); a.status != 125 || a.err != want {
		t.Errorf("push: status %d, %q, want %q", a.status, a.err, want)
	}
	if got := s.must("logs", id); got != "hello\n" {
		t.Errorf("the log of an earlier run is %q", got)
	}
	free()
	if a := s.run("run", "quick"); a.status != 0 || a.out != "hello\n" {
		t.Errorf("with space again: %+v", a)
	}
}

// TestRunnerDiskFull fills the disk of a runner: a run that needs space there ends with an error that says so.
func TestRunnerDiskFull(t *testing.T) {
	s := newServer(t)
	dir := small(t)
	s.remote("full", "default", dir).start()
	s.write("files.yaml", "name: files\nimage: busybox\nvolumes: [{name: f, file: f, mount_path: /f}]\ncommand: [wc, -c, /f]\n")
	s.write("f", strings.Repeat("x", 4<<20))
	s.must("tool", "push", "files.yaml")
	s.wait("full", "runner", "ls")
	free := fill(t, dir)
	if a := s.run("run", "files", "--json"); a.status != 125 || !strings.Contains(a.out, `"code":"no_space"`) || !strings.Contains(a.out, "no space left on device") {
		t.Errorf("on a full disk: %+v", a)
	}
	free()
	if a := s.run("run", "files"); a.status != 0 || a.out != "4194304 /f\n" {
		t.Errorf("with space again: %+v", a)
	}
}
