package store

import (
	"context"
	"time"
)

// Tools keeps versions of tools and workflows. A version never changes. The methods may be called from several goroutines.
type Tools interface {
	// AddVersion makes the next version of a tool, unless its latest version has the same digest: then it returns that one,
	// and made is false.
	AddVersion(ctx context.Context, v Version) (is Version, made bool, err error)
	// Version returns a version, or the latest one for 0. The error is ErrNotFound if there is none.
	Version(ctx context.Context, project, tool string, version int) (Version, error)
	// Versions returns the versions of a tool before a number, or all for 0, the newest first, without their manifests; at most most, or any
	// number for 0.
	Versions(ctx context.Context, project, tool string, before, most int) ([]Version, error)
	// Tools returns the latest version of each tool of a project, by name, without their manifests.
	Tools(ctx context.Context, project string, p Page) ([]Version, error)
}

// Page is a part of a list that is sorted by names. The zero Page is all of it.
type Page struct {
	After string // only names after this one
	Most  int    // at most as many; 0 for any number
}

// Version is a version of a tool.
type Version struct {
	Project, Tool string
	Version       int    // AddVersion sets it
	Kind          string // tool or workflow
	Description   string
	Note          string
	Digest        string // of Manifest
	Manifest      []byte // the files, in JSON
	Created       time.Time
	CreatedBy     string
}
