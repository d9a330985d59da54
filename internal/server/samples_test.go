package server

import (
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestCurve checks that the samples that are left of a long run are evenly spread, in each step.
func TestCurve(t *testing.T) {
	c := &curve{seen: map[string]int{}, every: 1}
	begin := time.Unix(0, 0)
	const n = 7777
	for i := range n {
		c.add(api.Sample{Time: begin.Add(time.Duration(i) * time.Second), Step: []string{"a", "b"}[i%2]})
	}
	if len(c.samples) > mostSamples || len(c.samples) < mostSamples/3 {
		t.Errorf("%d samples", len(c.samples))
	}
	last, gap := map[string]time.Time{}, time.Duration(2*c.every)*time.Second
	for _, one := range c.samples {
		if before, ok := last[one.Step]; ok && one.Time.Sub(before) != gap {
			t.Fatalf("%s after another one of %s, want %s", one.Time.Sub(before), one.Step, gap)
		}
		last[one.Step] = one.Time
	}
	if len(last) != 2 {
		t.Errorf("%d steps", len(last))
	}
}
