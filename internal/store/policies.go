package store

import (
	"context"
	"time"
)

// Policies has the operator's policies of projects. A version never changes, and numbers aren't used again. The methods may be called
// from several goroutines.
type Policies interface {
	// SetPolicy makes the next version of a project's policy if the latest one has the number is, which is 0 for none; AnyVersion is any.
	// An empty text removes the policy. The error is ErrChanged, or ErrNotFound if there is none to remove.
	SetPolicy(ctx context.Context, p Policy, is int) (Policy, error)
	// Policy returns the latest version. The error is ErrNotFound if there is none, or if it was removed.
	Policy(ctx context.Context, project string) (Policy, error)
	// Used reports whether a project has a tool, run, secret, token or draft. A project needs nothing else to exist.
	Used(ctx context.Context, project string) (bool, error)
}

// AnyVersion stands for whichever version is the latest.
const AnyVersion = -1

// Policy is a version of a project's policy.
type Policy struct {
	Project string
	Version int // SetPolicy sets it
	Text    string
	Set     time.Time
	SetBy   string
}
