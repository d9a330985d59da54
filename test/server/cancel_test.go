//go:build linux

package server

import (
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
)

// TestCancelReaches has a cancel reach the tool, also if the runner is connected to another server than the one that is asked. How soon is a matter of
// the machine; TestCancelIsSent of internal/server has it come without a heartbeat.
func TestCancelReaches(t *testing.T) {
	shared := []string{"--database", postgrestest.Start(t).Database(t), "--archive", t.TempDir()}
	near := replica(t, nil, shared...)
	near.begin()
	other := replica(t, near, shared...)
	other.begin()
	near.remote("one", "default", t.TempDir()).start()
	near.write("waits.yaml", `name: waits
image: busybox
script: |
  trap 'echo told; exit 3' TERM
  echo up
  while :; do sleep 0.02; done
`)
	for name, asked := range map[string]*site{"TheSameServer": near, "AnotherServer": other} {
		t.Run(name, func(t *testing.T) {
			id := strings.TrimSpace(near.must("run", "waits.yaml", "--detach", "-q"))
			told := false
			asks, follows := asked.client(), near.client()
			begun := make(chan struct{})
			followed := make(chan error, 1)
			go func() {
				followed <- follows.Follow(t.Context(), "default", id, 0, func(e run.Event) {
					if e.Log != nil && strings.Contains(string(e.Log.Bytes()), "up") {
						close(begun)
					}
					if e.Log != nil && strings.Contains(string(e.Log.Bytes()), "told") {
						told = true
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
			if _, err := asks.Cancel(t.Context(), "default", id); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-followed:
				if err != nil || !told {
					t.Errorf("the tool wasn't told: %v", err)
				}
			case <-time.After(patience):
				t.Error("the run hasn't ended")
			}
		})
	}
}
