package server

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestRunnerBounds sends more than a runner may.
func TestRunnerBounds(t *testing.T) {
	s, _ := logged(t, nil)
	link := s.Link(defaultPool, "r", "instance0123456789012")
	h := api.Hello{Protocol: api.Protocol, Name: "r", Slots: 1, Holds: make([]api.Holding, mostHolds+1)}
	_, beat := link.Heartbeat(t.Context(), &api.Heartbeat{Hello: h})
	_, report := link.Report(t.Context(), &api.Report{
		Holding: api.Holding{Run: "run", Attempt: 1}, First: 1, Events: []run.Event{{Log: &run.Log{Data: strings.Repeat("x", maxEvent)}}},
	})
	for what, err := range map[string]error{
		"hello": link.Messages(t.Context(), &h, func(api.Message) error { return nil }), "heartbeat": beat, "report": report,
	} {
		var p *api.Problem
		if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
