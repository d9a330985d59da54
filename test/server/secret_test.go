//go:build linux

package server

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSecrets has a tool use a secret of the server, on a runner in another process: its value is masked in the output, and
// stands nowhere in the server's or the runner's files. TestCanary looks everywhere else.
func TestSecrets(t *testing.T) {
	s := newSite(t)
	const canary = "canary-f00d-1b3a"
	s.write("t.yaml", "name: t\nimage: busybox\nvolumes: [{name: token, secret: token}]\ncommand: [sh, -c, \"cat /secrets/token | tr a-z A-Z; cat /secrets/token\"]\n")
	if a := s.run("tool", "push", "t.yaml"); a.status != 0 {
		t.Fatalf("%+v", a)
	}
	if a := s.run("run", "t"); a.status != 125 || !strings.Contains(a.err, "the project default has no secret token; set it with: mayfly secret set token") {
		t.Errorf("without the secret: %+v", a)
	}
	c := s.mayfly("secret", "set", "token")
	c.Stdin = strings.NewReader(canary)
	if out, err := c.CombinedOutput(); err != nil || string(out) != "token version 1\n" {
		t.Fatalf("set: %q, %v", out, err)
	}
	far := t.TempDir()
	s.remote("build", "build", far).start()
	for _, pool := range []string{"default", "build"} {
		if a := s.run("run", "t", "--pool", pool); a.status != 0 || a.out != strings.ToUpper(canary)+"***" {
			t.Errorf("on the pool %s: %+v", pool, a)
		}
	}
	if out := s.must("secret", "rotate-key"); out != "the server's secrets are wrapped for a new key\n" {
		t.Errorf("rotate-key: %q", out)
	}
	if a := s.run("run", "t"); a.status != 0 || !strings.HasPrefix(a.out, strings.ToUpper(canary)) {
		t.Errorf("after a rotation of the key: %+v", a)
	}
	if out := s.must("secret", "ls"); !strings.Contains(out, "token   1") || strings.Contains(out, canary) {
		t.Errorf("list: %s", out)
	}
	s.must("secret", "set", "token", "--for", "other")
	if a := s.run("run", "t"); a.status != 125 || !strings.Contains(a.err, "the secret token is only for tools of the server with these names: other") {
		t.Errorf("a tool that may not have it: %+v", a)
	}
	if a := s.run("run", "t.yaml"); a.status != 125 || !strings.Contains(a.err, "the secret token is only for tools of the server with these names: other") {
		t.Errorf("a definition that may not have it: %+v", a)
	}
	if a := s.run("secret", "set", "token", "--for", "t", "--if-etag", "1-0"); a.status != 125 || !strings.Contains(a.err, "it was changed meanwhile") {
		t.Errorf("a secret that was changed meanwhile: %+v", a)
	}
	s.must("secret", "set", "token", "--for=")
	if a := s.run("run", "t.yaml"); a.status != 0 {
		t.Errorf("a definition that may have it: %+v", a)
	}
	s.must("secret", "rm", "token")
	find := newSearcher(t, canary)
	find.folder(t, "server's file", filepath.Dir(s.data))
	find.folder(t, "runner's file", far)
	find.check(t, "server's file", "runner's file")
}

// TestSecretOfRun gives a secret to one run, from each place from which a run on this machine gets one.
func TestSecretOfRun(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\nenvironment: [TOKEN=/secrets/token]\ncommand: [sh, -c, 'echo ${#TOKEN} $TOKEN']\n")
	s.must("tool", "push", "t.yaml")
	s.write("value", "12345678")
	t.Setenv("MINE", "123456789")
	for what, want := range map[string]string{"t": "9 ***\n", "t.yaml": "9 ***\n"} {
		if a := s.run("run", what, "--secret", "token=env:MINE"); a.status != 0 || a.out != want {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if a := s.run("run", "t", "--secret", "token=file:value"); a.status != 0 || a.out != "8 ***\n" {
		t.Errorf("from a file: %+v", a)
	}
	id := s.latestRun()
	if a := s.run("rerun", id); a.status != 125 || !strings.Contains(a.err, "the run was given secrets of its own, which the server doesn't keep: token") || !strings.Contains(a.err, "mayfly rerun RUN --secret token=env:VARIABLE") {
		t.Errorf("repeated without it: %+v", a)
	}
	if a := s.run("rerun", id, "--secret", "token=env:MINE"); a.status != 0 || a.out != "9 ***\n" {
		t.Errorf("repeated with another: %+v", a)
	}
	for want, args := range map[string][]string{
		"the tool names no secret \"tokn\"": {"run", "t", "--secret", "tokn=env:MINE"},
		"a value can't be on the command":   {"run", "t", "--secret", "token=123456789"},
		"there is no variable NONE_OF_MINE": {"run", "t", "--secret", "token=env:NONE_OF_MINE"},
		"number 1 is not NAME=env:VARIABLE": {"rerun", id, "--secret", "token"},
	} {
		if a := s.run(args...); a.status != 125 || !strings.Contains(a.err, want) || strings.Contains(a.err, "123456789") {
			t.Errorf("%q: %+v", args, a)
		}
	}
}
