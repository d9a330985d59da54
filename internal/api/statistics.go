package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Statistics is how the runs of a project ended, and what it has running. Runs of steps are counted with their workflows only.
type Statistics struct {
	Since       time.Time       `json:"since" doc:"the begin of the first bucket"`
	Until       time.Time       `json:"until" doc:"the end of the last bucket, which isn't over"`
	StepSeconds int64           `json:"step_seconds" doc:"the length of a bucket"`
	Total       Ended           `json:"total"`
	Buckets     []EndedBucket   `json:"buckets" doc:"all of them, also those without a run"`
	Tools       []EndedTool     `json:"tools" doc:"at most 100, those with the most runs first"`
	OmittedTool int             `json:"omitted_tools,omitempty" doc:"how many more tools there are"`
	Now         StatisticsOfNow `json:"now"`
}

// Ended is how runs ended in a time.
type Ended struct {
	Runs        int64            `json:"runs"`
	Status      map[string]int64 `json:"status" doc:"how many ended how; a state that none had is left out"`
	SuccessRate *float64         `json:"success_rate,omitempty" doc:"0 to 1: the successes among those that weren't cancelled; left out if there are none"`
	Durations   *Durations       `json:"durations,omitempty" doc:"from when a runner had them until they ended; left out if no runner had any"`
	Queued      *Queued          `json:"queued,omitempty" doc:"how long they waited for a runner"`
}

// Durations are estimates from a histogram, which are off by less than a factor of 1.8.
type Durations struct {
	P50 float64 `json:"p50_seconds"`
	P95 float64 `json:"p95_seconds"`
	P99 float64 `json:"p99_seconds"`
}

// Queued is how long runs waited.
type Queued struct {
	Mean float64 `json:"mean_seconds"`
	Most float64 `json:"most_seconds"`
}

// EndedBucket is what ended from a time on.
type EndedBucket struct {
	Start time.Time `json:"start"`
	Ended
}

// EndedTool is what ended of a tool.
type EndedTool struct {
	Tool string `json:"tool" doc:"empty for definitions that came with the request"`
	Ended
}

// StatisticsOfNow is what waits and runs. Runs of steps are counted here, and runs of workflows aren't: no runner has them.
type StatisticsOfNow struct {
	Queued  int            `json:"queued" doc:"runs that wait for a runner, at most 100000"`
	Running int            `json:"running"`
	ByTool  map[string]int `json:"running_by_tool" doc:"the key is empty for definitions that came with the request"`
	Pools   []PoolSlots    `json:"pools" doc:"of runners of any project, without those that are away"`
}

// PoolSlots is how many runs the runners of a pool can carry out at once.
type PoolSlots struct {
	Pool    string `json:"pool"`
	Runners int    `json:"runners"`
	Slots   int    `json:"slots"`
	Busy    int    `json:"busy"`
	Free    int    `json:"free" doc:"of runners that take new runs"`
}

// Statistics returns how runs of a project ended since a time, by the hour or by the day; tool is "" for all.
func (c *Client) Statistics(ctx context.Context, in, tool, step string, since time.Time) (*Statistics, error) {
	q := url.Values{}
	if tool != "" {
		q.Set("tool", tool)
	}
	if step != "" {
		q.Set("step", step)
	}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339))
	}
	out := &Statistics{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/statistics?"+q.Encode(), nil, out)
}
