package api

import (
	"context"
	"net/http"
	"net/url"
)

// ProjectList has the projects that a token may see.
type ProjectList struct {
	Projects []Project     `json:"projects"`
	Next     string        `json:"next,omitempty" doc:"the cursor of the next page; empty if this is the last one"`
	Limits   ProjectLimits `json:"limits" doc:"those of each project and token"`
}

// Project is a project. It is there by its use.
type Project struct {
	Name   string           `json:"name"`
	Tools  int              `json:"tools" doc:"tools and workflows"`
	Queued int              `json:"queued" doc:"runs that wait for a runner, at most 100000"`
	Ended  map[string]int64 `json:"ended" doc:"how many runs of no step ended how in the latest 24 hours, by the hour"`
	Policy bool             `json:"policy" doc:"whether it has one"`
}

// ProjectLimits are the server's limits; 0 is none.
type ProjectLimits struct {
	QueueSize int     `json:"queue_size" doc:"how many runs of a project may wait"`
	Requests  float64 `json:"requests_per_second" doc:"of a token"`
}

// Pool is a pool with its runners.
type Pool struct {
	PoolSlots
	Labels    []string `json:"labels" doc:"those that any of its runners has"`
	Capacity  Capacity `json:"capacity" doc:"of its runners that aren't away; without a field if one of them has no bound"`
	Used      Capacity `json:"used" doc:"what the runs that they have ask for"`
	Available Room     `json:"available" doc:"what is left of the capacity of those runners that take runs, as free is of slots"`
}

// Room is what is left of a capacity. What has no bound is nil.
type Room struct {
	CPU    *float64 `json:"cpu,omitempty" doc:"processors; without it, any number"`
	Memory *int64   `json:"memory,omitempty" doc:"bytes; without it, any number"`
	Disk   *int64   `json:"disk,omitempty" doc:"bytes that runs may write; without it, any number"`
}

// Projects returns a page of the projects that the token may see.
func (c *Client) Projects(ctx context.Context, cursor string) (*ProjectList, error) {
	out := &ProjectList{}
	return out, c.call(ctx, http.MethodGet, "/projects?"+url.Values{"cursor": {cursor}}.Encode(), nil, out)
}

// Pools returns the pools; with a project, as it sees them.
func (c *Client) Pools(ctx context.Context, in string) (out []Pool, err error) {
	err = c.call(ctx, http.MethodGet, inProject(in)+"/pools", nil, &out)
	return out, err
}

// ProjectRunners returns the runners as a project sees them.
func (c *Client) ProjectRunners(ctx context.Context, in string) (out []Runner, err error) {
	err = c.call(ctx, http.MethodGet, project(in)+"/runners", nil, &out)
	return out, err
}

// inProject is the path of a project, or of none.
func inProject(name string) string {
	if name == "" {
		return ""
	}
	return project(name)
}
