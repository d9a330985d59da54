package server

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestStatistics ends some runs, and leaves some.
func TestStatistics(t *testing.T) {
	r := newRig(t)
	runner := holder(defaultPool, "r", reporter)
	if _, err := r.store.AddRunner(t.Context(), store.Runner{Holder: runner, Pool: defaultPool, Name: "r", Slots: 4}); err != nil {
		t.Fatal(err)
	}
	to := &store.Lessee{Runner: runner, Lease: time.Hour}
	accept := func(id, tool string, to *store.Lessee) {
		t.Helper()
		if err := r.store.Accept(t.Context(), store.NewRun{ID: id, Project: "own", Tool: tool, Version: 1, Kind: "tool", Pool: defaultPool, Request: []byte("{}")}, to); err != nil {
			t.Fatal(err)
		}
	}
	for i, status := range []run.State{run.Succeeded, run.Succeeded, run.Succeeded, run.Failed, run.Cancelled} {
		id := "ended" + strconv.Itoa(i)
		accept(id, "t", to)
		if _, err := r.store.Report(t.Context(), store.Report{Hold: store.Hold{Run: id, Attempt: 1}, Runner: runner, First: 1, Ended: &store.Ended{Status: status, Result: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
	}
	accept("running", "u", to)
	accept("waits", "u", nil)
	c := r.client(t, "own viewer")
	for step, buckets := range map[string]int{"": 24, "hour": 24, "day": 30} {
		s, err := c.Statistics(t.Context(), "own", "", step, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Buckets) != buckets || !s.Buckets[0].Start.Equal(s.Since) || !s.Buckets[buckets-1].Start.Add(time.Duration(s.StepSeconds)*time.Second).Equal(s.Until) {
			t.Errorf("%s: %d buckets from %s to %s", step, len(s.Buckets), s.Since, s.Until)
		}
		sum := int64(0)
		for _, b := range s.Buckets {
			sum += b.Runs
		}
		if s.Total.Runs != 5 || sum != 5 || s.Total.Status["succeeded"] != 3 || s.Total.SuccessRate == nil || math.Abs(*s.Total.SuccessRate-0.75) > 1e-9 || s.Total.Durations == nil {
			t.Errorf("%s: %d in buckets, and in all %+v", step, sum, s.Total)
		}
		if len(s.Tools) != 1 || s.Tools[0].Tool != "t" || s.Tools[0].Runs != 5 {
			t.Errorf("%s: tools %+v", step, s.Tools)
		}
		if s.Now.Queued != 1 || s.Now.Running != 1 || s.Now.ByTool["u"] != 1 || len(s.Now.Pools) != 1 || s.Now.Pools[0] != (api.PoolSlots{Pool: defaultPool, Runners: 1, Slots: 4, Busy: 1, Free: 3}) {
			t.Errorf("%s: now %+v", step, s.Now)
		}
	}
	since := time.Now().Add(-time.Hour)
	if s, err := c.Statistics(t.Context(), "own", "none", "", since); err != nil || s.Total.Runs != 0 || s.Total.SuccessRate != nil ||
		!s.Since.Equal(since.Truncate(time.Hour)) || len(s.Buckets) != int(s.Until.Sub(s.Since)/time.Hour) || len(s.Buckets) < 2 {
		t.Errorf("of no tool: %+v, %v", s, err)
	}
	for query, want := range map[string]int{
		"tool=" + strings.Repeat("t", 253): http.StatusOK, "tool=" + strings.Repeat("t", 254): http.StatusUnprocessableEntity,
		"since=2020-01-01T00:00:00Z": http.StatusUnprocessableEntity, "step=minute": http.StatusUnprocessableEntity, "since=9999-01-01T00:00:00Z": http.StatusOK,
		"step=day&since=" + time.Now().UTC().AddDate(0, 0, -98).Format(time.DateOnly) + "T00:00:00Z":  http.StatusOK,
		"step=day&since=" + time.Now().UTC().AddDate(0, 0, -101).Format(time.DateOnly) + "T00:00:00Z": http.StatusUnprocessableEntity,
	} {
		if status, p := r.call(t, "GET", "/api/v1/projects/own/statistics?"+query, r.tokens["own viewer"], ""); status != want {
			t.Errorf("%s: %d, %+v", query, status, p)
		}
	}
}
