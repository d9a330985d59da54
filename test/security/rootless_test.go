//go:build linux

package security

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/test/testbed"
)

const testUser = "mayfly-test"

// newRootless returns the command as an ordinary user runs it. The user is made for the test, with subordinate ids and delegated
// cgroups, and removed afterwards.
func newRootless(t *testing.T) *cli {
	t.Helper()
	c := &cli{t: t, canary: newCanary(t)}
	if _, err := user.Lookup(testUser); err != nil {
		command(t, "useradd", "--create-home", testUser)
		t.Cleanup(func() { removeUser(t) })
	}
	u, err := user.Lookup(testUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	// The user gets copies of the programs, since the checkout may be in a folder that only root can read.
	dir, err := os.MkdirTemp("/var/tmp", "mayfly-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin, tools := filepath.Join(dir, "bin"), filepath.Join(dir, "tools")
	for _, d := range []string{dir, bin, tools} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"mayfly", "mayfly-shim"} {
		testbed.CopyProgram(t, filepath.Join(testbed.Bin(t), name), filepath.Join(bin, name))
	}
	testbed.OwnPrograms(bin)
	c.tools, c.home, c.run = tools, filepath.Join(u.HomeDir, "mayfly-home"), filepath.Join(u.HomeDir, "mayfly-home", "run")
	c.uid = u.Uid
	c.prefix = []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--init-groups", "--inh-caps=-all", filepath.Join(bin, "mayfly")}
	c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + u.HomeDir, "USER=" + testUser, "MAYFLY_HOME=" + c.home, "MAYFLY_POLICY=" + testbed.EmptyPolicy(t, dir)}
	giveCgroup(t, u, filepath.Join(bin, "mayfly"))
	if _, err := os.Stat(filepath.Join("/run/user", u.Uid)); err == nil { // systemd's
		c.run = filepath.Join("/run/user", u.Uid, "mayfly")
	}
	t.Cleanup(func() {
		removeCgroups(t, uid)
		// Its files belong to the user's subordinate ids.
		_ = os.RemoveAll(c.home)
		_ = os.RemoveAll(c.run)
	})
	c.load()
	return c
}

// giveCgroup enables the user to set limits, as docs/CONFIGURATION.md describes.
func giveCgroup(t *testing.T, u *user.User, mayfly string) {
	t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		command(t, mayfly, "doctor", "--delegate", testUser)
		return
	}
	command(t, "loginctl", "enable-linger", testUser)
	t.Cleanup(func() {
		command(t, "loginctl", "disable-linger", testUser)
		command(t, "systemctl", "stop", "user@"+u.Uid)
	})
	ready := filepath.Join("/run/user", u.Uid, "systemd", "private")
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the user's systemd doesn't start: there is no %s", ready)
}

func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

func removeUser(t *testing.T) {
	t.Helper()
	// A process of the user may still be ending.
	var out []byte
	var err error
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); {
		if out, err = exec.Command("userdel", "--remove", testUser).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("userdel: %v: %s", err, out)
}

func removeCgroups(t *testing.T, uid int) {
	t.Helper()
	dirs, err := filepath.Glob("/sys/fs/cgroup/*/mayfly-" + strconv.Itoa(uid))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		// A shim whose mayfly has ended leaves its cgroup for this one as the last thing before it ends.
		err := os.Remove(dir)
		for end := time.Now().Add(testbed.Patience); errors.Is(err, unix.EBUSY) && time.Now().Before(end); err = os.Remove(dir) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("remove the delegated cgroup: %v", err)
		}
	}
}

// quiet writes a definition, runs it and returns what it printed.
func (c *cli) quiet(name, definition string, flags ...string) done {
	c.t.Helper()
	d := c.mayfly(append([]string{"run", c.tool(name, definition), "--quiet"}, flags...)...)
	c.canary.unseenIn(d.stdout + d.stderr)
	return d
}

// TestI10_Rootless and the other tests in this file are the same attacks on the sandboxes of an ordinary user.
func TestI10_Rootless(t *testing.T) {
	c := newRootless(t)
	for _, identity := range []string{"", "security: {user: \"1000:1000\"}\n"} {
		got := result{stdout: c.quiet("status", identity+"command: [attacker, status]\n").stdout}.lines()
		none := "0000000000000000"
		for key, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none} {
			if got[key] != want {
				t.Errorf("%s is %q, want %s: %v", key, got[key], want, got)
			}
		}
	}
	t.Run("I01", func(t *testing.T) {
		onlyStreams(t, result{stdout: c.quiet("fds", "command: [attacker, fds]\n").stdout}.lines(), "pipe:")
	})
	t.Run("I03", func(t *testing.T) {
		for what, outcome := range (result{stdout: c.quiet("holder", "command: [attacker, holder]\n").stdout}).lines() {
			if !refused(outcome) {
				t.Errorf("%s: %s", what, outcome)
			}
		}
	})
	t.Run("I06", func(t *testing.T) {
		for what, outcome := range (result{stdout: c.quiet("mounts", "command: [attacker, mounts]\n").stdout}).lines() {
			if !refused(outcome) && !strings.HasSuffix(outcome, "operation not permitted") {
				t.Errorf("%s: %s", what, outcome)
			}
		}
	})
	t.Run("I12", func(t *testing.T) {
		got := result{stdout: c.quiet("masked", "command: [attacker, try, "+strings.Join(maskedPaths, ", ")+"]\n").stdout}.lines()
		for _, p := range maskedPaths {
			if o := got["read "+p]; o != "empty" && o != "ENOENT" && !refused(o) {
				t.Errorf("read %s: %q", p, o)
			}
			if o := got["umount "+p]; o != "EPERM" {
				t.Errorf("umount %s: %q", p, o)
			}
		}
	})
	t.Run("I13", func(t *testing.T) {
		other := c.startRun(c.tool("other", "script: |\n  for d in /tmp /dev/shm $HOME .; do echo x > $d/first; done; echo ready; sleep 300\n"), "ready")
		d := c.quiet("look", "script: |\n  ls -R /tmp /dev/shm $HOME . /run\n  ls -d /proc/[0-9]* | wc -l\n  cat "+c.canary.path+" || true\n")
		if strings.Contains(d.stdout, "first") || d.code != 0 {
			t.Errorf("%+v", d)
		}
		// The sandbox can't read the user's own files, since it has other ids.
		_ = other.cmd.Process.Kill()
		other.wait()
		other.nothingLeft()
	})
}

// TestI18_RootlessKills kills an ordinary user's processes.
func TestI18_RootlessKills(t *testing.T) { killRuns(t, newRootless(t)) }

// TestI14_RootlessLimits checks the limits of an ordinary user's runs.
func TestI14_RootlessLimits(t *testing.T) {
	c := newRootless(t)
	d := c.quiet("heap", "resources: {memory: 48Mi}\ncommand: [attacker, heap]\n")
	if d.code != 137 {
		t.Errorf("memory: %+v", d)
	}
	r := c.startRun(c.tool("bomb", "resources: {pids: 40}\ncommand: [attacker, forkbomb]\n"), "bomb")
	most := 0
	for began := time.Now(); time.Since(began) < time.Second || most < 2 && time.Since(began) < testbed.Patience; time.Sleep(20 * time.Millisecond) {
		most = max(most, len(pidsOf(t, r.id)))
	}
	if most < 2 || most > 40 {
		t.Errorf("the bomb had up to %d processes", most)
	}
	_ = r.cmd.Process.Kill()
	r.wait()
	r.nothingLeft()
	d = c.quiet("fill", "resources: {disk: 8Mi}\ncommand: [attacker, fill, /tmp]\n")
	if !strings.Contains(d.stdout, "fill /tmp\tENOSPC") {
		t.Errorf("disk: %+v", d)
	}
}
