//go:build linux

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicy sets a project's policy with the command line. The server refuses what it doesn't allow, and so does a runner that gets a run
// which was accepted before.
func TestPolicy(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\nnetwork: none\nresources: {memory: 256Mi}\ncommand: [echo, hello]\n")
	s.must("tool", "push", "t.yaml")
	if a := s.run("policy", "get"); a.status != 125 || !strings.Contains(a.err, "the project default has no policy; set one with: mayfly policy set FILE") {
		t.Errorf("%+v", a)
	}
	s.write("wrong.yaml", "\nmax: {memry: 1Gi}\n")
	if a := s.run("policy", "set", "wrong.yaml"); a.status != 125 || !strings.Contains(a.err, `policy.yaml:2:7: unknown key "memry" in max; did you mean "memory"?`) {
		t.Errorf("%+v", a)
	}
	id := strings.TrimSpace(s.must("run", "t", "--pool", "build", "--detach")) // no runner has this pool yet
	s.write("policy.yaml", "# ours\nmax: {memory: 64Mi}\n")
	if out := s.must("policy", "set", "policy.yaml"); out != "policy of default version 1\n" {
		t.Errorf("set: %q", out)
	}
	const unused = "mayfly: no tool, run, secret, token or draft of the project misspelt is there yet\n"
	if a := s.run("policy", "set", "policy.yaml", "--project", "misspelt"); a.status != 0 || a.out != "policy of misspelt version 1\n" || a.err != unused {
		t.Errorf("of a project that nothing is known of: %+v", a)
	}
	if out := s.must("policy", "get"); out != "# ours\nmax: {memory: 64Mi}\n" {
		t.Errorf("get: %q", out)
	}
	const refusal = "the policy of the project default refuses memory 256Mi: at most 64Mi is allowed (policy.yaml:2:7); ask for what is allowed, or ask the server's operator to change the policy"
	if a := s.run("run", "t"); a.status != 125 || !strings.Contains(a.err, refusal) {
		t.Errorf("run: %+v", a)
	}
	if a := s.run("run", "t", "--memory", "32Mi"); a.status != 0 || a.out != "hello\n" {
		t.Errorf("run with less: %+v", a)
	}
	if a := s.run("tool", "push", "t.yaml"); a.status != 0 || !strings.Contains(a.out+a.err, "no run of it will be accepted") {
		t.Errorf("push: %+v", a)
	}
	s.remoteRunner("build")
	if a := s.run("logs", "-f", id); a.status != 125 || !strings.Contains(a.err, refusal) {
		t.Errorf("on a runner: %+v", a)
	}
	if out := s.must("runs", "--json"); !strings.Contains(out, `"code":"policy_denied"`) {
		t.Errorf("runs: %s", out)
	}
	if a := s.run("policy", "set", "policy.yaml", "--if-version", "7"); a.status != 125 || !strings.Contains(a.err, "it was changed meanwhile") {
		t.Errorf("another version: %+v", a)
	}
	if out := s.must("policy", "rm", "--if-version", "1"); out != "the project default has no policy now\n" {
		t.Errorf("rm: %q", out)
	}
	if a := s.run("run", "t"); a.status != 0 {
		t.Errorf("without a policy: %+v", a)
	}
}

// TestHostPolicyNames has the policy of a runner's host allow a secret by the name under which a tool was pushed, and not by the name that
// its definition gives itself.
func TestHostPolicyNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte("secrets: {backup: [db]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAYFLY_POLICY", file)
	s := newSite(t)
	c := s.mayfly("secret", "set", "db")
	c.Stdin = strings.NewReader("value")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s%v", out, err)
	}
	s.write("t.yaml", "name: backup\nimage: busybox\nvolumes: [{name: db, secret: db}]\ncommand: [echo, hello]\n")
	s.must("tool", "push", "t.yaml")
	s.must("tool", "push", "t.yaml", "--name", "other")
	if a := s.run("run", "backup"); a.status != 0 || a.out != "hello\n" {
		t.Errorf("the tool that may have it: %+v", a)
	}
	for what, whom := range map[string]string{"other": "the tool other", "t.yaml": "a definition that isn't a tool of the server"} {
		if a := s.run("run", what); a.status != 125 || !strings.Contains(a.err, "the policy of this host refuses the secret db for "+whom) {
			t.Errorf("%s: %+v", what, a)
		}
	}
}
