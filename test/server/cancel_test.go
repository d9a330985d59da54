//go:build linux

package server

import (
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// TestCancelReaches has a cancel reach the tool within two seconds, also if the runner is connected to another server than the one that is asked. A
// machine on which a tool takes long to start gets as many times longer.
func TestCancelReaches(t *testing.T) {
	shared := []string{"--database", postgrestest.Start(t).Database(t), "--archive", t.TempDir()}
	near := replica(t, nil, shared...)
	near.begin()
	other := replica(t, near, shared...)
	other.begin()
	near.remote("one", "default", t.TempDir()).start()
	near.write("true.yaml", "name: t\nimage: busybox\ncommand: [\"true\"]\n")
	near.write("waits.yaml", `name: waits
image: busybox
script: |
  trap 'echo told; exit 3' TERM
  echo up
  while :; do sleep 0.02; done
`)
	near.must("run", "true.yaml") // when the runner is connected
	begin := time.Now()
	near.must("run", "true.yaml")
	start := time.Since(begin)
	bound := max(2*time.Second, 10*start)
	for name, asked := range map[string]*site{"TheSameServer": near, "AnotherServer": other} {
		t.Run(name, func(t *testing.T) {
			id := strings.TrimSpace(near.must("run", "waits.yaml", "--detach", "-q"))
			var told time.Time
			asks, follows := asked.client(), near.client()
			begun := make(chan struct{})
			followed := make(chan error, 1)
			go func() {
				followed <- follows.Follow(t.Context(), "default", id, 0, func(e run.Event) {
					if e.Log != nil && strings.Contains(string(e.Log.Bytes()), "up") {
						close(begun)
					}
					if e.Log != nil && strings.Contains(string(e.Log.Bytes()), "told") {
						told = time.Now()
					}
				}, nil)
			}()
			select {
			case <-begun:
			case err := <-followed:
				t.Fatalf("the run has ended: %v", err)
			case <-time.After(patience):
				t.Fatal("the tool doesn't begin")
			}
			begin := time.Now()
			if _, err := asks.Cancel(t.Context(), "default", id); err != nil {
				t.Fatal(err)
			}
			if err := <-followed; err != nil || told.IsZero() {
				t.Fatalf("the tool wasn't told: %v", err)
			}
			took := told.Sub(begin)
			t.Logf("the tool was told after %s; a start takes %s", took, start)
			if took > bound {
				t.Errorf("the tool was told after %s; the bound is %s", took, bound)
			}
		})
	}
}
