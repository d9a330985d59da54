package remote

import (
	"context"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
)

// ReadVersionFile returns a file of a version of a tool. The error is an archive.DigestError if it isn't the one that the version names.
func (r *Remote) ReadVersionFile(ctx context.Context, f *api.VersionFiles, one api.File) ([]byte, error) {
	data, err := r.ReadFile(ctx, r.Project, f.Version.Tool, f.Version.Version, one.Path)
	if err != nil {
		return nil, err
	}
	if got := archive.Digest(data); got != one.Digest {
		return nil, &archive.DigestError{Want: one.Digest, Got: got}
	}
	return data, nil
}
