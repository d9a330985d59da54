package store

import "errors"

// These are the errors that a caller tells apart. Any other error is a failure of the database.
var (
	// ErrNotFound says that there is no such thing, or not in that project.
	ErrNotFound = errors.New("not found")
	// ErrNotHeld says that an attempt isn't, or is no longer, the runner's that writes.
	ErrNotHeld = errors.New("the attempt isn't held by this runner")
	// ErrGap says that a report doesn't follow the last one: events between them are missing.
	ErrGap = errors.New("events are missing before this report")
	// ErrOver says that a run has ended already.
	ErrOver = errors.New("the run has ended")
	// ErrChanged says that it was changed since it was read.
	ErrChanged = errors.New("it was changed meanwhile")
	// ErrBusy says that others were in the way again and again, so that nothing was written. It may be tried again.
	ErrBusy = errors.New("others were in the way again and again; try again")
	// ErrNoSpace says that the database's disk is full.
	ErrNoSpace = errors.New("no space left for the database")
	// ErrUnreachable says that the database doesn't answer. Nothing was written.
	ErrUnreachable = errors.New("the database can't be reached")
	// ErrSlow says that a statement took too long, and the database cancelled it. Nothing was written.
	ErrSlow = errors.New("a statement took too long, and the database cancelled it; try again")
	// ErrUnsure says that the answer to a commit is missing: what was written may be there or not. It isn't written again.
	ErrUnsure = errors.New("the connection to the database broke during a commit, which may have come to pass or not")
	// ErrTooManyDrafts says that a project has as many drafts as it may have.
	ErrTooManyDrafts = errors.New("the project has as many drafts as it may have; remove some")
	// ErrExists says that there is one of that name already.
	ErrExists = errors.New("it exists already")
)
