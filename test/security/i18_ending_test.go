//go:build linux

package security

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// stubbornWays are the ways in which the attacker resists its end.
var stubbornWays = []string{"ignore", "setsid", "double", "stopped", "orphans", "breeding"}

// TestI18_StubbornToolsEnd ends each by TERM and then KILL, and by Close alone. box.gone checks that nothing of it is left.
func TestI18_StubbornToolsEnd(t *testing.T) {
	b := newBox(t)
	for _, how := range stubbornWays {
		for _, way := range []string{"kill", "close"} {
			l := b.mustStart(b.spec("attacker", "stubborn", how))
			l.stdout.until(t, "ready")
			time.Sleep(30 * time.Millisecond)
			if way == "kill" && how != "orphans" { // the first process of orphans ends by itself
				if err := l.sandbox.Signal(engine.SIGTERM); err != nil {
					t.Error(err)
				}
				select {
				case <-l.ended:
					t.Errorf("%s ended at TERM; the test is about one that doesn't", how)
				case <-time.After(100 * time.Millisecond):
				}
				if err := l.sandbox.Signal(engine.SIGKILL); err != nil {
					t.Error(err)
				}
				if r, err := l.wait(); err != nil || r.Code != 137 {
					t.Errorf("%s: %+v, %v", how, r, err)
				}
				continue
			}
			if err := l.close(); err != nil {
				t.Errorf("%s by %s: %v", how, way, err)
			}
		}
	}
}

// TestI18_CancelledAtRandomMoments cancels starts and closes sandboxes at random moments: 200 times with MAYFLY_TEST_FULL,
// otherwise 30 times.
func TestI18_CancelledAtRandomMoments(t *testing.T) {
	b := newBox(t)
	times := 30
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		times = 200
	}
	started := 0
	for i := range times {
		spec := b.spec("attacker", "stubborn", stubbornWays[i%len(stubbornWays)])
		spec.Network.Mode = []network.Mode{network.ModeNone, network.ModePublic}[i%2]
		ctx, cancel := context.WithCancel(context.Background())
		moment := time.Duration(rand.IntN(100)) * time.Millisecond
		timer := time.AfterFunc(moment, cancel)
		s, err := b.engine.Start(ctx, spec, b.image.Local(nil), engine.Streams{})
		if err == nil {
			started++
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			if err := s.Close(); err != nil {
				t.Errorf("after %v: close: %v", moment, err)
			}
		} else if ctx.Err() == nil {
			t.Errorf("after %v: %v", moment, err)
		}
		timer.Stop()
		cancel()
		b.gone(spec.ID)
	}
	t.Logf("%d of %d had started", started, times)
}
