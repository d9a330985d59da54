//go:build linux

package security

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// canary is a file on the host that anybody may read and write: only a sandbox's
// walls keep its tool from it.
type canary struct {
	t       *testing.T
	dir     string
	path    string
	content string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	// Not t.TempDir: its parent's name is known only to the test, but a folder
	// that others may not search would hide a hole.
	dir, err := os.MkdirTemp("/var/tmp", "canary-")
	if err != nil {
		t.Fatal(err)
	}
	c := &canary{t: t, dir: dir, path: filepath.Join(dir, "canary"), content: "CANARY" + rand.Text()}
	if err := os.WriteFile(c.path, []byte(c.content), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{c.dir: 0o777, c.path: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	before := hostState(t)
	t.Cleanup(func() {
		c.unchanged()
		for what, now := range hostState(t) {
			if then := before[what]; then != now {
				t.Errorf("the host's %s was %s and is %s", what, then, now)
				repair(t, what)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

// unchanged checks the file and that nothing lies beside it.
func (c *canary) unchanged() {
	c.t.Helper()
	data, err := os.ReadFile(c.path)
	if err != nil || string(data) != c.content {
		c.t.Errorf("the canary has %q, %v", data, err)
	}
	if got := describe(c.t, c.path); !strings.HasPrefix(got, "-rw-rw-rw- 0:0 ") {
		c.t.Errorf("the canary is %s now", got)
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) != 1 {
		c.t.Errorf("beside the canary lie %v, %v", entries, err)
	}
}

// unseenIn checks that what came out of a sandbox doesn't have the content.
func (c *canary) unseenIn(text string) {
	c.t.Helper()
	if strings.Contains(text, c.content) {
		c.t.Errorf("the tool read the canary: %.300q", text)
	}
}

// hostState describes what no run may change: the devices that every sandbox
// has too, and the programs that Mayfly executes.
func hostState(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx", "shm", "pts"} {
		path := filepath.Join("/dev", name)
		state[path] = describe(t, path)
	}
	for _, path := range []string{
		"/proc", "/sys", "/etc", "/tmp", "/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname",
		filepath.Join(testbed.Bin(t), "mayfly"), filepath.Join(testbed.Bin(t), "mayfly-shim"), "/bin/busybox", "/usr/bin/runsc",
	} {
		state[path] = describe(t, path)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	state["name"] = name
	return state
}

// repair gives a device of the host its owner and mode back: a test that finds a
// hole must not leave the host without /dev/null.
func repair(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o666)); err != nil {
		t.Errorf("give %s its owner back: %v", path, err)
	}
}

// describe gives type, mode, owner and device numbers, and the hash of a file.
func describe(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "missing"
	}
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%v %d:%d %d", info.Mode(), st.Uid, st.Gid, st.Rdev)
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/etc/passwd" { // of a program, of many megabytes, the expression would take seconds
			data = ownLine.ReplaceAll(data, nil)
		}
		sum := sha256.Sum256(data)
		text += " " + hex.EncodeToString(sum[:8])
	}
	return text
}

// ownLine is the user of a test, who may come and go by another checkout's tests (passwd(5)).
var ownLine = regexp.MustCompile(`(?m)^` + testUser + `:.*\n`)

// gone checks that nothing is left of a run: no directory, no cgroup, and no
// process that was in it.
func (b *box) gone(id string) {
	b.t.Helper()
	for _, what := range leftOf(b.t, "/run/mayfly", id) {
		b.t.Errorf("left of run %s: %s", id, what)
	}
}

// leftOf lists what a run has on the host.
func leftOf(t *testing.T, dir, id string) []string {
	t.Helper()
	var left []string
	for _, pattern := range []string{
		filepath.Join(dir, "runs", id), filepath.Join(dir, "runs", ".new-"+id),
		"/sys/fs/cgroup/mayfly*/" + id, "/sys/fs/cgroup/mayfly*/" + id + ".shim",
		"/sys/fs/cgroup/*/mayfly*/" + id, "/sys/fs/cgroup/*/mayfly*/" + id + ".shim",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), id) {
		left = append(left, "a mount")
	}
	for _, pid := range pidsOf(t, id) {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	return left
}

// pidsOf are the processes that are in a run's cgroup, by what each process
// says itself (cgroups(7)).
func pidsOf(t *testing.T, id string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range files {
		data, err := os.ReadFile(f)
		// One that has ended and that its parent hasn't reaped yet has no command line.
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		// The shim's own cgroup has a name beside the run's.
		if err == nil && len(command) > 0 && strings.Contains(string(data), id+"\n") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}
