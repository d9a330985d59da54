package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

// TestRunnerBounds has a runner say more of itself than others can read.
func TestRunnerBounds(t *testing.T) {
	s, _ := logged(t, nil)
	link := s.Link(defaultPool, "r", "instance0123456789012")
	for name, c := range map[string]struct {
		change func(*api.Hello)
		want   string
	}{
		"attempts": {func(h *api.Hello) { h.Holds = make([]api.Holding, mostHolds+1) }, "the runner holds 10001 attempts; the most is 10000; update the runner"},
		"no slots": {func(h *api.Hello) { h.Slots = 0 }, "0 slots are not between 1 and 10000; start the runner with --slots from 1 to 10000"},
		"slots":    {func(h *api.Hello) { h.Slots = mostHolds + 1 }, "10001 slots are not between 1 and 10000; start the runner with --slots from 1 to 10000"},
		"version":  {func(h *api.Hello) { h.Version = strings.Repeat("1", mostVersion+1) }, "the runner's version has 65 bytes; the most is 64; update the runner"},
		"labels":   {func(h *api.Hello) { h.Labels = make([]string, mostLabels+1) }, "the runner has 51 labels; the most is 50; start the runner with fewer or shorter --label"},
		"a label":  {func(h *api.Hello) { h.Labels = []string{strings.Repeat("l", mostLabel+1)} }, "a label of the runner has more than 253 bytes; start the runner with fewer or shorter --label"},
		"no key":   {func(h *api.Hello) { h.Key = "" }, "the runner's key: "},
		"key":      {func(h *api.Hello) { h.Key = "age1x" }, "the runner's key: "},
	} {
		t.Run(name, func(t *testing.T) {
			h := api.Hello{Protocol: api.Protocol, Name: "r", Slots: 1, Key: someKey}
			c.change(&h)
			_, beat := link.Heartbeat(t.Context(), &api.Heartbeat{Hello: h})
			unprocessable(t, beat, c.want)
			unprocessable(t, link.Messages(t.Context(), &h, func(api.Message) error { return nil }), c.want)
		})
	}
}

// TestReportBounds has a runner report more than a run has.
func TestReportBounds(t *testing.T) {
	s, id := logged(t, nil)
	link := s.Link(defaultPool, "r", "instance0123456789012")
	at := api.Holding{Run: id, Attempt: 1}
	for name, c := range map[string]struct {
		report api.Report
		want   string
	}{
		"an event": {api.Report{Holding: at, First: 1, Events: []run.Event{{Log: &run.Log{Data: strings.Repeat("x", maxEvent)}}}}, "event 1 of run run has "},
		"events":   {api.Report{Holding: at, First: 1, Events: make([]run.Event, mostEvents+1)}, "a report has 10001 events; the most is 10000; update the runner"},
		"an end":   {api.Report{Holding: at, First: 1, Result: &run.Result{Status: run.Running}}, `a run can't end as "running"; update the runner`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := link.Report(t.Context(), &c.report)
			unprocessable(t, err, c.want)
		})
	}
	states := []run.Event{{State: &run.StateChange{State: run.Running}}, {State: &run.StateChange{State: run.Succeeded}}, {State: &run.StateChange{State: "made up"}}}
	if _, err := link.Report(t.Context(), &api.Report{Holding: at, First: 1, Events: states}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.store.Run(t.Context(), "p", id); err != nil || r.Status != run.Running {
		t.Errorf("before its result, the run is %s, %v", r.Status, err)
	}
	reason := strings.Repeat("ü", maxReason)
	if _, err := link.Report(t.Context(), &api.Report{Holding: at, First: 4, Result: &run.Result{Status: run.Failed, Reason: reason}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.store.Run(t.Context(), "p", id)
	if err != nil || r.Reason != reason[:maxReason]+"…" {
		t.Errorf("the reason in lists has %d bytes, %v", len(r.Reason), err)
	}
}

func unprocessable(t *testing.T, err error, want string) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || !strings.HasPrefix(p.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestAskedBounds asks for more than the queue keeps of a run.
func TestAskedBounds(t *testing.T) {
	r := newRig(t)
	tool := `"bundle":` + r.bundle(t, "image: i\ncommand: [x]\n")
	for name, c := range map[string]struct{ body, want string }{
		"a label's key":    {`"labels":{"a b":"c"}`, `the key of the label "a b" is not the key of a label`},
		"a label's value":  {`"labels":{"a":"` + strings.Repeat("x", 254) + `"}`, `the value of the label "a" is too long for a label`},
		"labels":           {`"labels":{` + pairs(51) + `}`, "expected object with at most 50 properties"},
		"runner's label":   {`"runner":["` + strings.Repeat("x", 254) + `"]`, "expected length <= 253"},
		"runner's labels":  {`"runner":[` + strings.Repeat(`"a",`, 20) + `"a"]`, "expected array length <= 20"},
		"all that it asks": {`"runner":[` + strings.Repeat(`"`+strings.Repeat("x", 200)+`",`, 10) + `"a"]`, "the labels of a runner and the key that the run asks for have 2042 bytes; the most is 2000"},
		"escaped in JSON":  {`"concurrency":{"limit":1,"key":"` + strings.Repeat("<", 253) + `"},"runner":["` + strings.Repeat("<", 200) + `"]`, "the labels of a runner and the key that the run asks for have 27"},
	} {
		t.Run(name, func(t *testing.T) {
			status, p := r.call(t, "POST", "/api/v1/projects/own/runs", r.tokens[RoleAdmin], "{"+tool+","+c.body+"}")
			if status != http.StatusUnprocessableEntity || !strings.Contains(p.Error(), c.want) {
				t.Errorf("got %d %v, want %s", status, p, c.want)
			}
		})
	}
}

func pairs(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"l%d":"x"`, i))
	}
	return strings.Join(all, ",")
}
