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

// canary is a file on the host that everyone may read and write. Only the sandbox keeps its tool from it.
type canary struct {
	t       *testing.T
	dir     string
	path    string
	content string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	// This isn't t.TempDir, since a folder that other users can't search would hide a hole.
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

// unchanged checks that the file is unchanged, and that no other file is beside it.
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

// unseenIn checks that a text from a sandbox doesn't have the content of the canary.
func (c *canary) unseenIn(text string) {
	c.t.Helper()
	if strings.Contains(text, c.content) {
		c.t.Errorf("the tool read the canary: %.300q", text)
	}
}

// hostState describes what no run may change: the host's devices that every sandbox has too, files of the host, and the
// programs that Mayfly executes.
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

// repair restores the owner and mode of a device of the host: a test that finds a hole must not leave the host without
// /dev/null.
func repair(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o666)); err != nil {
		t.Errorf("give %s its owner back: %v", path, err)
	}
}

// describe returns the type, mode, owner and device number of a file, and the hash of its content.
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

// ownLine matches the line of testUser in a file such as /etc/passwd (passwd(5)). Tests of another checkout may add and remove
// that user.
var ownLine = regexp.MustCompile(`(?m)^` + testUser + `:.*\n`)

// gone checks that no directory, cgroup, mount or process of a run is left.
func (b *box) gone(id string) {
	b.t.Helper()
	for _, what := range leftOf(b.t, "/run/mayfly", id) {
		b.t.Errorf("left of run %s: %s", id, what)
	}
}

// leftOf lists what a run has on the host. dir is the directory of live runs.
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

// pidsOf returns the processes in the cgroup of a run, from /proc/PID/cgroup (cgroups(7)).
func pidsOf(t *testing.T, id string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range files {
		data, err := os.ReadFile(f)
		// A process that has ended and that its parent hasn't reaped yet has no command line.
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		// The name of the shim's own cgroup, ID.shim, doesn't match.
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
