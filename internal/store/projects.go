package store

import "context"

// Projects has the projects, which are there by their use: nobody makes one. The methods may be called from several goroutines.
type Projects interface {
	// Projects returns the projects that have a tool, run, secret, token, draft or policy, by name, from the first one after a name on; or only the
	// given one.
	Projects(ctx context.Context, only, after string, most int) ([]Project, error)
}

// Project is a project.
type Project struct {
	Name   string
	Tools  int // also workflows
	Policy bool
}
