//go:build linux

package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// endlessly prints numbered lines, about 400 a second, for SECONDS seconds.
const endlessly = `name: endlessly
image: busybox
timeout: 1h
script: |
  i=0
  end=$(($(date +%s) + SECONDS))
  while [ $(date +%s) -lt $end ]; do
    for n in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do
      i=$((i+1)); echo line $i
    done
    sleep 0.1
  done
  echo end $i
`

// TestServerAway has a server that its runner can't reach while a run prints: every line arrives afterwards, once and in order.
func TestServerAway(t *testing.T) {
	away, unreachable := 4*time.Second, 4*time.Second
	if full {
		away, unreachable = 10*time.Minute, 20*time.Second
	}
	t.Run("Killed", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		s.remoteRunner("far")
		surviveAway(t, s, away, func() {
			if err := s.process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = s.process.Wait() // it was killed
		}, s.start)
	})
	t.Run("Unreachable", func(t *testing.T) {
		t.Parallel()
		s := newServer(t) // it hears nothing of the run, which is lost after 30 s
		p, _ := s.remote("far", "far", t.TempDir()).behindProxy()
		surviveAway(t, s, unreachable, func() { p.reach(false) }, func() { p.reach(true) })
	})
}

func surviveAway(t *testing.T, s *site, away time.Duration, leave, come func()) {
	s.write("endlessly.yaml", strings.ReplaceAll(endlessly, "SECONDS", fmt.Sprint(int(away.Seconds())+5)))
	id := strings.TrimSpace(s.must("run", "endlessly.yaml", "--pool", "far", "--detach", "-q"))
	s.wait("line 40\n", "logs", id)
	leave()
	time.Sleep(away)
	come()
	a := s.run("logs", "-f", id)
	if a.status != 0 {
		t.Fatalf("status %d, %s", a.status, a.err)
	}
	n, ended := 0, false
	for line := range strings.Lines(a.out) {
		if ended {
			t.Fatalf("%q comes after the end", line)
		}
		if ended = line == fmt.Sprintf("end %d\n", n); ended {
			continue
		}
		if n++; line != fmt.Sprintf("line %d\n", n) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if least := 40 * int(away.Seconds()); !ended || n < least {
		t.Errorf("%d lines, want at least %d and an end: %q", n, least, a.out[max(0, len(a.out)-100):])
	}
	t.Logf("%d lines", n)
}
