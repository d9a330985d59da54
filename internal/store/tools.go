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
	// Versions returns the versions of a tool, the newest first, without their manifests.
	Versions(ctx context.Context, project, tool string) ([]Version, error)
	// Tools returns the latest version of each tool of a project, by name, without their manifests.
	Tools(ctx context.Context, project string) ([]Version, error)
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
