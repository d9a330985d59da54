//go:build linux

package server

import (
	"strings"
	"testing"
)

// TestConcurrencyFlag has a run wait for another one with its key, and refuses other forms of the flag.
func TestConcurrencyFlag(t *testing.T) {
	s := newSite(t)
	s.write("forever.yaml", "name: forever\nimage: busybox\nresources: {memory: 64Mi}\ncommand: [sh, -c, \"echo up; while :; do sleep 0.1; done\"]\n")
	begin := func() string {
		return strings.TrimSpace(s.must("run", "forever.yaml", "--concurrency", "deploy=1", "--detach", "-q"))
	}
	first := begin()
	s.wait("up\n", "logs", first)
	second := begin()
	if list := s.must("runs", "--status", "queued"); !strings.Contains(list, second) {
		t.Errorf("the second one doesn't wait: %s", list)
	}
	s.must("cancel", first)
	s.wait("up\n", "logs", second)
	s.must("cancel", second)
	if a := s.run("logs", "-f", second); a.status != 130 {
		t.Errorf("the second one: %+v", a)
	}
	for flag, want := range map[string]string{
		"deploy":   `--concurrency "deploy" must be KEY=N, such as deploy-production=1`,
		"=1":       `--concurrency "=1" must be KEY=N, such as deploy-production=1`,
		"deploy=0": `--concurrency "deploy=0" must be KEY=N, such as deploy-production=1`,
	} {
		if a := s.run("run", "forever.yaml", "--concurrency", flag); a.status != 125 || !strings.Contains(a.err, want) {
			t.Errorf("%s: %+v", flag, a)
		}
	}
	if a := s.run("run", "forever.yaml", "--concurrency", "deploy=1", "--server", "local"); a.status != 125 || !strings.Contains(a.err, "--detach, --pool, --runner-label, --label, --priority and --concurrency are for a run on a server") {
		t.Errorf("on this machine: %+v", a)
	}
	if a := s.run("run", "forever.yaml", "--memory", "1Ti", "--detach"); !strings.Contains(a.err, "the run waits: no runner of the pool default has memory 1Ti; the most is ") {
		t.Errorf("a run that is too large: %+v", a)
	}
}
