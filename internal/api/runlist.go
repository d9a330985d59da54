package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RunFilter selects runs. A zero field selects all, except Parent.
type RunFilter struct {
	Tool         string
	Status       []string
	Since, Until time.Time // accepted at Since or later, and before Until
	Labels       map[string]string
	By           string // the name of the token
	Runner       string
	Text         string // of the tool, the reason or the id
	Parent       string // the run of a workflow whose steps are selected; "" for runs that are of no step
	Limit        int
	Cursor       string
}

func (f *RunFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"tool": f.Tool, "status": strings.Join(f.Status, ","), "by": f.By, "runner": f.Runner, "text": f.Text, "parent": f.Parent, "cursor": f.Cursor,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f.Labels)) {
		q.Add("label", key+"="+f.Labels[key])
	}
	if f.Limit > 0 {
		q.Set("limit", fmt.Sprint(f.Limit))
	}
	return q
}

// Runs returns a page of runs. There is another one if Next is set, also if this one has fewer runs than the limit, or none.
func (c *Client) Runs(ctx context.Context, in string, f RunFilter) (*RunList, error) {
	out := &RunList{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs?"+f.query().Encode(), nil, out)
}

// EachRun calls take with the runs that match, the newest first, and with no more than f.Limit of them unless that is 0.
func (c *Client) EachRun(ctx context.Context, in string, f RunFilter, take func(Run) error) error {
	left := f.Limit
	for {
		f.Limit = mostRuns
		if left > 0 {
			f.Limit = min(left, mostRuns)
		}
		page, err := c.Runs(ctx, in, f)
		if err != nil {
			return err
		}
		for _, r := range page.Runs {
			if err := take(r); err != nil {
				return err
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" || left > 0 && left == len(page.Runs) {
			return nil
		}
		if left > 0 {
			left -= len(page.Runs)
		}
	}
}

// mostRuns is the most that a page has.
const mostRuns = 1000
