//go:build linux

package security

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI23_RunDirectoriesOfOthers makes the directories that an ordinary user's runs could use belong to another user, or puts
// links in their places. The runs must use a directory that belongs to the user.
func TestI23_RunDirectoriesOfOthers(t *testing.T) {
	c := newRootless(t)
	uid := c.uid
	former := "/tmp/mayfly-" + uid
	session := filepath.Join(t.TempDir(), "session")
	for _, dir := range []string{filepath.Dir(filepath.Dir(session)), filepath.Dir(session)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.RemoveAll(former) })
	path := c.tool("ok", "command: echo done\n")
	runsIn := func(what, xdg, want string) {
		t.Helper()
		env := c.env
		defer func() { c.env = env }()
		c.env = append(env[:len(env):len(env)], "XDG_RUNTIME_DIR="+xdg)
		if d := c.mayfly("run", path, "--quiet"); d.code != 0 || d.stdout != "done\n" {
			t.Errorf("%s: %+v", what, d)
		}
		if _, err := os.Stat(filepath.Join(want, "runs")); err != nil {
			t.Errorf("%s: its runs aren't in %s: %v", what, want, err)
		}
		if err := os.RemoveAll(want); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "mkdir", "-m", "700", former)
	command(t, "chown", "nobody", former)
	lasting := filepath.Join(c.home, "run")
	runsIn("the place of earlier versions is another user's", "/", lasting)
	if _, err := os.Lstat(former); err != nil {
		t.Errorf("another user's directory is gone: %v", err)
	}
	command(t, "rmdir", former)
	command(t, "ln", "-s", c.home, former)
	runsIn("it is a link", "/", lasting)
	if _, err := os.Stat(filepath.Join(c.home, "images")); err != nil {
		t.Errorf("what it leads to: %v", err)
	}
	command(t, "rm", former)

	command(t, "mkdir", "-m", "700", session)
	command(t, "chown", uid, session)
	runsIn("a session's own", session, filepath.Join(session, "mayfly"))
	command(t, "chmod", "777", session)
	runsIn("all may write to it", session, lasting)
	command(t, "chmod", "700", session)
	command(t, "chown", "nobody", session)
	runsIn("another user's", session, lasting)
	command(t, "mv", session, session+"-away")
	command(t, "chown", uid, session+"-away")
	command(t, "ln", "-s", session+"-away", session)
	runsIn("a link", session, lasting)
}

// TestI23_KeptSandboxesOfOtherSessions opens shells in kept sandboxes of other sessions: of a session with its own directory, from
// one that doesn't name it, and of a session without one; and with a long name of MAYFLY_HOME.
func TestI23_KeptSandboxesOfOtherSessions(t *testing.T) {
	c := newRootless(t)
	session := filepath.Join("/run/user", c.uid)
	if _, err := os.Stat(session); err != nil {
		if err := os.Mkdir(filepath.Dir(session), 0o755); err == nil {
			t.Cleanup(func() { _ = os.Remove(filepath.Dir(session)) })
		}
		command(t, "mkdir", "-m", "700", session)
		command(t, "chown", c.uid, session)
		t.Cleanup(func() { _ = os.RemoveAll(session) })
	}
	long := filepath.Join(c.home, strings.Repeat("long-", 30))
	command(t, "setpriv", "--reuid", c.uid, "--clear-groups", "mkdir", long)
	image := filepath.Join(c.tools, "image.tar")
	path := c.tool("bad", "command: exit 3\n")
	with := func(vars ...string) func(args ...string) done {
		return func(args ...string) done {
			env := c.env
			defer func() { c.env = env }()
			c.env = append(env[:len(env):len(env)], vars...)
			return c.mayfly(args...)
		}
	}
	for what, m := range map[string]struct{ keep, look func(args ...string) done }{
		"from a session that names none": {with("XDG_RUNTIME_DIR=" + session), with()},
		"with a long name":               {with("MAYFLY_HOME="+long, "XDG_RUNTIME_DIR=/"), with("MAYFLY_HOME="+long, "XDG_RUNTIME_DIR=/")},
		"from a session to one without":  {with("XDG_RUNTIME_DIR=/"), with("XDG_RUNTIME_DIR=" + session)},
	} {
		if d := m.keep("image", "load", image); d.code != 0 {
			t.Fatalf("%+v", d)
		}
		d := m.keep("run", path, "--keep-on-failure", "--keep-for", "5m")
		id := regexp.MustCompile(`mayfly shell ([0-9a-f-]{36})`).FindStringSubmatch(d.stderr)
		if id == nil {
			t.Errorf("%s: %+v", what, d)
			continue
		}
		defer m.keep("shell", "--remove", id[1]) // in case the check below doesn't
		if d := m.look("shell"); !strings.Contains(d.stdout, id[1]) {
			t.Errorf("%s: it isn't listed: %+v", what, d)
		}
		if d := m.look("shell", id[1], "--", "echo", "inside"); d.code != 0 || d.stdout != "inside\n" {
			t.Errorf("%s: %+v", what, d)
		}
		if d := m.look("shell", "--remove", id[1]); d.code != 0 {
			t.Errorf("%s: %+v", what, d)
		}
	}
}

// TestI23_TheNamespacesVariable checks that the variable that says that mayfly is in its own user namespace is refused anywhere
// else: for root, who would get another user's ids and limits, and for an ordinary user.
func TestI23_TheNamespacesVariable(t *testing.T) {
	user := newRootless(t)
	root := newCLI(t)
	for who, c := range map[string]*cli{"root": root, "a user": user} {
		path := c.tool("ok", "command: echo done\n")
		if d := c.mayfly("run", path, "--quiet"); d.code != 0 || d.stdout != "done\n" {
			t.Errorf("%s, without it: %+v", who, d)
		}
		for _, value := range []string{user.uid + ":65536:", "0:65536:/", "1:4294967295:", "", "nonsense"} {
			env := c.env
			c.env = append(env[:len(env):len(env)], "MAYFLY_ROOTLESS="+value)
			for _, args := range [][]string{{"run", path}, {"run", path, "--dry-run"}, {"image", "ls"}, {"doctor"}, {"doctor", "--delegate", testUser}, {"version"}} {
				if d := c.mayfly(args...); d.code == 0 || !strings.Contains(d.stderr, "MAYFLY_ROOTLESS") || strings.Contains(d.stdout, "done") {
					t.Errorf("%s, %v with %q: %+v", who, args, value, d)
				}
			}
			c.env = env
		}
	}
}

// TestI23_WhatDelegationAllows checks, as the user, what doctor --delegate says that it allows.
func TestI23_WhatDelegationAllows(t *testing.T) {
	c := newRootless(t)
	out, err := exec.Command(filepath.Join(testbed.Bin(t), "mayfly"), "doctor", "--delegate", testUser).CombinedOutput()
	if _, v2 := os.Stat("/sys/fs/cgroup/cgroup.controllers"); v2 == nil {
		if err == nil {
			t.Errorf("on cgroup v2 it hands over: %s", out)
		}
		return
	}
	for _, said := range []string{"setuid programs that it has started", "any number of cgroups", "as root, to bound all of it", "rmdir on these folders undoes it"} {
		if err != nil || !strings.Contains(string(out), said) {
			t.Errorf("it doesn't say %q (%v): %s", said, err, out)
		}
	}
	others := exec.Command("sleep", "300")
	if err := others.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = others.Process.Kill(), others.Wait() }()
	script := `cd /sys/fs/cgroup; own=mayfly-$(id -u)/own
for h in pids freezer devices; do mkdir $h/$own; done
try() { if sh -c "$2" 2>/dev/null; then echo "$1	yes"; else echo "$1	no"; fi; }
sleep 300 & mine=$!
try "its own process" "echo $mine >pids/$own/cgroup.procs && echo $mine >freezer/$own/cgroup.procs"
try "a limit below" "echo 7 >pids/$own/pids.max"
try "freeze" "echo FROZEN >freezer/$own/freezer.state && echo THAWED >freezer/$own/freezer.state"
try "the folder's own limit" "echo 7 >pids/$own/../pids.max"
try "a device" "echo 'c 1:11 rwm' >devices/$own/devices.allow"
try "another's process" "echo ` + strconv.Itoa(others.Process.Pid) + ` >freezer/$own/cgroup.procs"
try "back to the root" "echo $mine >pids/cgroup.procs"
kill $mine; wait $mine 2>/dev/null
for h in pids freezer devices; do for i in 1 2 3 4 5 6 7 8 9; do rmdir $h/$own 2>/dev/null && break; sleep 0.2; done; done
`
	user := exec.Command("setpriv", "--reuid", c.uid, "--regid", c.uid, "--clear-groups", "--inh-caps=-all", "sh", "-c", script)
	tried, err := user.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, tried)
	}
	got := result{stdout: string(tried)}.lines()
	for what, want := range map[string]string{
		"its own process": "yes", "a limit below": "yes", "freeze": "yes",
		"the folder's own limit": "no", "a device": "no", "another's process": "no", "back to the root": "no",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %s (%s)", what, got[what], want, tried)
		}
	}
}

// TestI23_DefinitionsOfOthers checks that a definition that another user could have put into a folder above is not run by its
// name and gets no secret, for root and an ordinary user, and whatever names it. A definition of root in a folder above is run.
func TestI23_DefinitionsOfOthers(t *testing.T) {
	const flow, suite = "workflow: [{name: a, tool: deploy}]\n", "tool: deploy\nsecrets: {t: secret}\ntests: [{name: t}]\n"
	for who, c := range map[string]*cli{"root": newCLI(t), "a user": newRootless(t)} {
		shared := filepath.Join(c.tools, "shared")
		below := filepath.Join(shared, "below")
		command(t, "mkdir", "-p", filepath.Join(shared, "tools"), below)
		for name, text := range map[string]string{
			"shared/tools/deploy.yaml":      "image: " + cliImage + "\nnetwork: none\ncommand: echo ran $T\nenvironment: [T=/secrets/t]\n",
			"shared/below/flow.yaml":        flow,
			"shared/below/deploy_test.yaml": suite,
			"shared/below/value":            "secret",
		} {
			if err := os.WriteFile(filepath.Join(c.tools, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		look := func(stdin string, args ...string) done {
			t.Helper()
			cmd := c.command(args...)
			cmd.Dir, cmd.Stdin = below, strings.NewReader(stdin)
			out, err := cmd.CombinedOutput()
			return done{stdout: string(out), code: cmd.ProcessState.ExitCode(), stderr: fmt.Sprint(err)}
		}
		ways := []struct {
			stdin string
			args  []string
		}{
			{"", []string{"run", "deploy", "--secret", "t=file:value"}},
			{"", []string{"run", "flow.yaml", "--secret", "t=file:value"}},
			{"", []string{"test", "deploy_test.yaml"}},
			{flow, []string{"run", "-", "--secret", "t=file:value"}},
			{suite, []string{"test", "-"}},
		}
		for _, w := range ways {
			// For an ordinary user, standard input is read only inside the user namespace, where root's files look like those of any
			// other user.
			works := who == "root" || w.stdin == ""
			if d := look(w.stdin, w.args...); d.code == 0 != works {
				t.Errorf("%s, root's own, %v: %+v", who, w.args, d)
			}
		}
		for _, change := range [][]string{
			{"chown", "4321", filepath.Join(shared, "tools", "deploy.yaml")},
			{"chown", "4321", filepath.Join(shared, "tools")},
			{"chmod", "1777", shared},
		} {
			command(t, change[0], change[1], change[2])
			for _, w := range ways {
				if d := look(w.stdin, w.args...); d.code == 0 || strings.Contains(d.stdout, "ran ") || !strings.Contains(d.stdout, "to run it anyway, give its path: ") {
					t.Errorf("%s, after %v, %v: %+v", who, change, w.args, d)
				}
			}
			command(t, "chown", "root", filepath.Join(shared, "tools"), filepath.Join(shared, "tools", "deploy.yaml"))
			command(t, "chmod", "755", shared)
		}
		if who == "root" {
			continue
		}
		// The user's own project works in every way, except in a folder that belongs to another user.
		command(t, "chown", "-R", c.uid, shared)
		for _, w := range ways {
			if d := look(w.stdin, w.args...); d.code != 0 {
				t.Errorf("the user's own, %v: %+v", w.args, d)
			}
		}
		command(t, "chown", "4321", c.tools)
		for _, w := range ways {
			if d := look(w.stdin, w.args...); d.code == 0 {
				t.Errorf("the user's own in a folder of another's, %v: %+v", w.args, d)
			}
		}
		command(t, "chown", c.uid, c.tools)
	}
}
