//go:build linux

package server

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestAudit has the log of what a test did checked on the server, and in files in which something is wrong.
func TestAudit(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\ncommand: [echo, hello]\n")
	s.must("tool", "push", "t.yaml")
	if a := s.run("run", "t"); a.status != 0 {
		t.Fatalf("%+v", a)
	}
	if a := s.run("secret", "rm", "none"); a.status == 0 {
		t.Fatalf("%+v", a)
	}
	list := s.must("audit", "ls")
	for _, part := range []string{"create-version", "create-run", "secrets/none", "no_such_resource", "127.0.0.1"} {
		if !strings.Contains(list, part) {
			t.Errorf("the list has no %q:\n%s", part, list)
		}
	}
	if out := s.must("audit", "ls", "--action", "create-run", "--since", "1h", "--limit", "1"); strings.Count(out, "\n") != 2 {
		t.Errorf("one entry:\n%s", out)
	}
	if a := s.run("audit", "ls", "--since", "yesterday"); a.status != 125 || !strings.Contains(a.err, "--since \"yesterday\" is not a time; write it as") {
		t.Errorf("%+v", a)
	}
	out := s.must("audit", "verify")
	_, head, ok := strings.Cut(strings.TrimSpace(out), "are as they were written; head ")
	if !ok || !strings.HasPrefix(out, "entries 1 to ") || len(head) != 64 {
		t.Fatalf("verify: %s", out)
	}
	s.must("tool", "push", "t.yaml") // the log goes on
	s.must("audit", "verify", "--head", head)
	log := s.must("audit", "ls", "--all-projects", "--all", "--json")
	lines := strings.SplitAfter(strings.TrimSpace(log), "\n")
	if len(lines) < 5 || !strings.Contains(lines[0], "tokens/admin") {
		t.Fatalf("the log: %s", log)
	}
	for name, c := range map[string]struct{ log, head, want string }{
		"whole":   {log, head, ""},
		"a part":  {strings.Join(lines[2:], ""), "", ""},
		"changed": {strings.Replace(log, "create-version", "create-virsion", 1), "", "its content was changed"},
		"removed": {lines[0] + strings.Join(lines[2:], ""), "", ":2: the audit log is broken at entry 3: it comes after entry 1"},
		"swapped": {lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""), "", "broken at entry 3"},
		"cut off": {strings.Join(lines[:3], ""), head, "no entry up to 3 has the hash " + head + ": the end was cut off"},
		"empty":   {"", "", "the audit log is broken: it has no entries"},
		"text":    {lines[0] + "{}}\n", "", ":2: the audit log is broken: the line isn't an entry"},
	} {
		t.Run(name, func(t *testing.T) {
			s.write("audit.jsonl", c.log)
			args := []string{"audit", "verify", "audit.jsonl"}
			if c.head != "" {
				args = append(args, "--head", c.head)
			}
			a := s.run(args...)
			if c.want == "" && (a.status != 0 || !strings.Contains(a.out, "are as they were written")) ||
				c.want != "" && (a.status != 125 || !strings.Contains(a.err, c.want)) {
				t.Errorf("%+v, want %q", a, c.want)
			}
			if name == "a part" && !strings.Contains(a.err, "the entries before 3 aren't there, and aren't checked") {
				t.Errorf("%+v", a)
			}
		})
	}
	s.stop()
	s.flags = append(s.flags, "--keep-audit", "1s", "--archive-after", "0s") // so it looks each second
	s.start()
	var a answer
	eventually(t, "old entries are removed", func() bool {
		a = s.run("audit", "verify")
		return a.status != 0 || strings.Contains(a.err, "mayfly: the log begins with entry ")
	})
	if a.status != 0 || !strings.Contains(a.err, ": the server removed those before it at ") {
		t.Errorf("after a removal: %+v", a)
	}
	s.write("audit.jsonl", s.must("audit", "ls", "--all-projects", "--all", "--json"))
	if a := s.run("audit", "verify", "audit.jsonl"); a.status != 0 || !strings.Contains(a.err, ": the server removed those before it at ") {
		t.Errorf("after a removal, in a file: %+v", a)
	}
	c := s.mayfly("audit", "verify", "-", "--json")
	c.Stdin = strings.NewReader(lines[0] + lines[2])
	data, err := c.Output()
	var e struct{ Code string }
	if err == nil || json.Unmarshal(data, &e) != nil || e.Code != "audit_broken" {
		t.Errorf("from standard input: %s, %v", data, err)
	}
	if a := s.run("audit", "verify", "none.jsonl"); a.status != 125 || !strings.Contains(a.err, "no such file") {
		t.Errorf("%+v", a)
	}
}
