package remote

import (
	"context"
	"errors"
	"fmt"
	"io"

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

// WriteArtifact gets an artifact. The error is an archive.DigestError if it isn't the one that the server has listed.
func (r *Remote) WriteArtifact(ctx context.Context, one api.Artifact, w io.Writer) (err error) {
	content, err := r.Artifact(ctx, r.Project, one.Run, one.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if _, err := io.Copy(w, archive.Checked(content, one.Digest)); err != nil {
		return fmt.Errorf("get the artifact %s: %w", one.Name, err)
	}
	return nil
}
