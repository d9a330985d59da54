//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

func TestSweepRemovesOnlyWhatIsDead(t *testing.T) {
	e := New("/nonexistent", t.TempDir(), nil)
	alive, err := e.newRunDir(t.Context(), "alive")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := e.newRunDir(t.Context(), "dead")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.lock.Close(); err != nil { // the end of both processes frees the lock too
		t.Fatal(err)
	}
	// A kept sandbox whose shim was killed.
	if err := os.WriteFile(filepath.Join(dead.path, wire.SocketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	young := filepath.Join(e.runsDir(), newPrefix+"young")
	old := filepath.Join(e.runsDir(), newPrefix+"old")
	for _, dir := range []string{young, old, filepath.Join(e.runsDir(), "unlocked")} {
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * newDirAge)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	making, err := tryLock(e.runsDir(), os.O_RDONLY, flock.Shared)
	if err != nil {
		t.Fatal(err)
	}
	sweep := func(want string) {
		if err := e.Sweep(); err != nil {
			t.Fatal(err)
		}
		var left []string
		entries, err := os.ReadDir(e.runsDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			left = append(left, entry.Name())
		}
		if got := strings.Join(left, " "); got != want {
			t.Errorf("directories after the sweep: got %q, want %q", got, want)
		}
	}
	sweep(".new-young alive") // another process may be making the young one
	if err := making.Close(); err != nil {
		t.Fatal(err)
	}
	sweep("alive")
	if err := alive.remove(); err != nil {
		t.Error(err)
	}
}

// TestSweepKeepsTrying has a run whose cgroup can't be removed: its directory stays, by which the next sweep finds it.
func TestSweepKeepsTrying(t *testing.T) {
	e := New("/nonexistent", t.TempDir(), nil)
	id := fmt.Sprintf("keeps-trying-%d", os.Getpid())
	d, err := e.newRunDir(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.lock.Close(); err != nil { // its processes were killed
		t.Fatal(err)
	}
	if err := e.prepareCgroups(); err != nil {
		t.Fatal(err)
	}
	v2, err := unified()
	if err != nil {
		t.Fatal(err)
	}
	shim := shimDir(e.cgroupOf(id), v2)
	inside := filepath.Join(shim, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = os.Remove(inside), os.Remove(shim) }) // they are there only if the test has failed
	if err := e.Sweep(); err == nil || !strings.Contains(err.Error(), shim) {
		t.Errorf("the sweep says nothing of the cgroup: %v", err)
	}
	if _, err := os.Stat(d.path); err != nil {
		t.Errorf("the directory of the run is gone: %v", err)
	}
	if err := os.Remove(inside); err != nil {
		t.Fatal(err)
	}
	if err := e.Sweep(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{d.path, shim} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// TestRemoveStopsAtAMount: clean-up never walks into a mount. The mounted files
// stay, and so does the directory.
func TestRemoveStopsAtAMount(t *testing.T) {
	e := New("/nonexistent", t.TempDir(), nil)
	d, err := e.newRunDir(t.Context(), "mounted")
	if err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.MkdirAll(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(precious, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(precious, d.root(), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err = d.remove()
	if unmountErr := unix.Unmount(d.root(), 0); unmountErr != nil {
		t.Fatal(unmountErr)
	}
	if err == nil {
		t.Error("removal of a mount point in use succeeded")
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "keep" {
		t.Errorf("the mounted file: got %q, %v, want keep", data, err)
	}
	if err := os.RemoveAll(filepath.Join(e.dir, "runs")); err != nil {
		t.Error(err)
	}
}

// TestRunDirectoriesIgnoreTheUmask: the run's own ids can search each of its directories, even if an earlier start left them
// closed.
func TestRunDirectoriesIgnoreTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	for name, closed := range map[string]bool{"new": false, "closed before": true} {
		t.Run(name, func(t *testing.T) {
			e := New("/nonexistent", filepath.Join(t.TempDir(), "run"), nil)
			if closed {
				if err := os.MkdirAll(e.runsDir(), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			d, err := e.newRunDir(t.Context(), "run")
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{e.dir, e.runsDir(), d.path, d.root()} {
				if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o711 {
					t.Errorf("%s: got mode %v, %v, want 0711", dir, info.Mode(), err)
				}
			}
			if err := d.remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLeasesAreDisjoint(t *testing.T) {
	e := New("/nonexistent", t.TempDir(), nil)
	seen := map[int]bool{}
	var leases []*idLease
	for range 200 {
		l, err := e.leaseIDs()
		if err != nil {
			t.Fatal(err)
		}
		if seen[l.first] {
			t.Fatalf("range %d was leased twice", l.first)
		}
		if l.first < firstRunID || l.first%idsPerRun != 0 || l.first+l.count > 1<<31 {
			t.Fatalf("got range %d+%d, want an aligned range from %d to 2^31", l.first, l.count, firstRunID)
		}
		seen[l.first] = true
		leases = append(leases, l)
	}
	for _, l := range leases {
		if err := l.release(); err != nil {
			t.Error(err)
		}
	}
}

// TestSweepLooksAtOwnDirectoriesOnly (I23): a directory of runs is swept only if no other user can have made it.
func TestSweepLooksAtOwnDirectoriesOnly(t *testing.T) {
	dead := func(e *Engine) string {
		t.Helper()
		d, err := e.newRunDir(t.Context(), "dead")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.lock.Close(); err != nil {
			t.Fatal(err)
		}
		return d.path
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		swept  bool
	}{
		"its own":             {func(string) error { return nil }, true},
		"all may write to it": {func(dir string) error { return os.Chmod(dir, 0o777) }, false},
		"another user's":      {func(dir string) error { return os.Chown(dir, 65534, 65534) }, false},
		"a link": {func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-away"), os.Symlink(dir+"-away", dir))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			other, former := filepath.Join(t.TempDir(), "other"), filepath.Join(t.TempDir(), "former")
			e := New("/nonexistent", t.TempDir(), nil, other)
			e.former = former
			left := []string{dead(New("/nonexistent", other, nil)), dead(New("/nonexistent", former, nil))}
			for _, dir := range []string{other, former} {
				if err := c.change(dir); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Sweep(); err != nil {
				t.Error(err)
			}
			for _, path := range left {
				if _, err := os.Stat(path); (err != nil) != c.swept {
					t.Errorf("%s: got %v, want it swept: %v", path, err, c.swept)
				}
			}
			if _, err := os.Lstat(former); (err != nil) != c.swept {
				t.Errorf("the directory of earlier versions: got %v, want it removed: %v", err, c.swept)
			}
		})
	}
	// A live run in the directory keeps it.
	e := New("/nonexistent", t.TempDir(), nil)
	e.former = filepath.Join(t.TempDir(), "former")
	alive, err := New("/nonexistent", e.former, nil).newRunDir(t.Context(), "alive")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Sweep(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(alive.path); err != nil {
		t.Error(err)
	}
	if err := alive.remove(); err != nil {
		t.Fatal(err)
	}
}

func TestRunDirectoriesAreMadeInOwnDirectoriesOnly(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"all may write to it": func(dir string) error { return os.Chmod(dir, 0o777) },
		"another user's":      func(dir string) error { return os.Chown(dir, 65534, 65534) },
	} {
		dir := t.TempDir()
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if d, err := New("/nonexistent", dir, nil).newRunDir(t.Context(), "id"); err == nil {
			t.Errorf("%s: made %s, want an error", name, d.path)
		}
	}
}

// TestI25_AStoppedSweep: another mayfly that is stopped while it holds the lock of
// all runs delays a start only until the deadline, or until Ctrl-C.
func TestI25_AStoppedSweep(t *testing.T) {
	e := New("/nonexistent", t.TempDir(), nil)
	if err := os.Mkdir(e.runsDir(), 0o711); err != nil {
		t.Fatal(err)
	}
	stopped, err := tryLock(e.runsDir(), os.O_RDONLY, flock.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(interrupted) })
	if _, err := e.newRunDir(ctx, "id"); !errors.Is(err, interrupted) {
		t.Error(err)
	}
	e.patience.start = 10 * time.Millisecond
	self := fmt.Sprintf("(process %d)", os.Getpid())
	if _, err := e.newRunDir(t.Context(), "id"); err == nil || !strings.Contains(err.Error(), "has been locked for ") || !strings.Contains(err.Error(), self) {
		t.Error(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = stopped.Close() })
	e.patience.start = time.Hour
	d, err := e.newRunDir(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.remove(); err != nil {
		t.Error(err)
	}
}
