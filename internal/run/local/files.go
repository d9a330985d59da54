package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/tempdir"
)

// unpackFiles unpacks the files that came with a tool into a new folder, and sets it in what the engine gets. remove removes
// the folder.
func unpackFiles(ctx context.Context, store content.Store, digest string, local *engine.Local) (remove func() error, err error) {
	dir, err := tempdir.New()
	if err != nil {
		return nil, err
	}
	if err := store.Unpack(ctx, digest, dir.Path); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack the tool's files: %w", err), dir.Close())
	}
	local.Folders[filesFolder] = dir.Path
	return dir.Close, nil
}
