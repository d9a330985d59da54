package local

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestStopSignal(t *testing.T) {
	for s, want := range map[string]engine.Signal{
		"SIGTERM": 15, "TERM": 15, "sigquit": 3, "3": 3, "SIGALRM": 14, "SIGCONT": 18, "SIGPWR": 30, "SIGSYS": 31, "HUP": 1,
		"SIGRTMIN": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "SIGRTMAX": 64, "SIGRTMAX-1": 63, "64": 64,
		"": 0, "SIG": 0, "0": 0, "65": 0, "-1": 0, "SIGNONE": 0, "SIGRTMIN-1": 0, "SIGRTMAX+1": 0, "SIGRTMIN+x": 0,
	} {
		if got := stopSignal(s); got != want {
			t.Errorf("stopSignal(%q) = %d, want %d", s, got, want)
		}
	}
}

// TestLimitsAreComplete: every limit of a tool affects its spec.
func TestLimitsAreComplete(t *testing.T) {
	compile := func(change func(*tool.Resources)) engine.Resources {
		d := parseTool(t, "image: i\ncommand: [go]")
		full := *d.Defaults()
		change(&full.Resources)
		spec, _, err := Compile("id", &run.Request{Tool: &full}, &image.Image{Reference: "i"}, Places{})
		if err != nil {
			t.Fatal(err)
		}
		return spec.Resources
	}
	before := compile(func(*tool.Resources) {})
	for _, l := range tool.Limits() {
		if after := compile(func(r *tool.Resources) { *l.Of(r) += 8 << 20 }); after == before {
			t.Errorf("the spec doesn't have %s", l.Name)
		}
		if l.Hard == nil {
			continue
		}
		if after := compile(func(r *tool.Resources) { *l.Hard(r) += 8 }); after == before {
			t.Errorf("the spec doesn't have the hard limit of %s", l.Name)
		}
	}
}
