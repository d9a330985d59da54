package remote

import (
	"context"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/program"
	"github.com/mayfly-run/mayfly/internal/run"
)

// Remote is a project of a server. Close ends its connections.
type Remote struct {
	*api.Client
	Project string
}

// Open returns a context's project. It doesn't connect.
func (c *Context) Open() (*Remote, error) {
	client, err := api.NewClient(api.ClientOptions{
		Server: c.Server, Token: c.Token, Fingerprint: c.Fingerprint, UserAgent: "mayfly/" + program.ThisBuild().Version,
	})
	if err != nil {
		return nil, err
	}
	return &Remote{Client: client, Project: c.Project}, nil
}

// Flags returns the flags that have a command use this server and project.
func (r *Remote) Flags() string {
	return fmt.Sprintf("--server %s --project %s", r.Server(), r.Project)
}

// Await follows a run to its end. emit gets each event after the given number. If ctx ends, the run goes on.
func (r *Remote) Await(ctx context.Context, id string, after int64, emit func(run.Event), cut func(error)) (*run.Result, error) {
	var result *run.Result
	err := r.Follow(ctx, r.Project, id, after, func(e run.Event) {
		if e.Result != nil && e.Step == "" {
			result = e.Result
		}
		emit(e)
	}, cut)
	switch {
	case err != nil:
		return nil, err
	case result == nil:
		return nil, run.NewError(run.CodeServerRefused, fmt.Sprintf("run %s has ended, and the server has no result of it", id))
	case result.Status == run.Error || result.Status == run.Denied || result.Status == run.Lost:
		// As on this machine, these are failures of Mayfly and not of the tool.
		return result, run.NewError(result.Code, result.Reason)
	}
	return result, nil
}
