package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Attempts are how often the tool of a run was started, on one runner or on several.
type Attempts struct {
	Attempts []Attempt `json:"attempts" doc:"in the order of time, at most 1000: the last ones"`
	Omitted  int       `json:"omitted,omitempty" doc:"how many came before"`
}

// Attempt is one of them.
type Attempt struct {
	Began   time.Time `json:"began"`
	Started time.Time `json:"started,omitzero" doc:"when the tool itself was started"`
	Ended   time.Time `json:"ended,omitzero"`
	Status  run.State `json:"status,omitempty" doc:"how the run ended with it; empty for one that another one has followed, and while it is under way"`
	Reason  string    `json:"reason,omitempty" doc:"why it ended, for people"`
}

// Attempts returns the attempts of a run.
func (c *Client) Attempts(ctx context.Context, in, id string) (*Attempts, error) {
	out := &Attempts{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/attempts", nil, out)
}
