package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Pack puts the files of a tool's volumes into a store, and sets their digest in the tool. Runners on other machines that
// have the store then don't need the tool's folder.
func Pack(ctx context.Context, store content.Store, t *tool.Tool) error {
	var paths []string
	for _, v := range t.Volumes {
		if v.File != "" {
			paths = append(paths, v.File)
		}
	}
	if len(paths) == 0 || t.Source.Files != "" {
		return nil
	}
	if t.Source.Dir == "" {
		return noFolder(t)
	}
	digest, err := store.Pack(ctx, t.Source.Dir, paths)
	if err != nil {
		return fmt.Errorf("%s: take the files of tool %q along: %w", t.Source.Position, t.Name, err)
	}
	t.Source.Files = digest
	return nil
}

// noFolder returns the error of a tool that has files but isn't in a file.
func noFolder(t *tool.Tool) error {
	for _, v := range t.Volumes {
		if v.File != "" {
			return &shape.PlacedError{Position: v.Position, Err: fmt.Errorf("volume %s: the definition isn't in a file, so there is no folder for its files; save it to a file", v.Name)}
		}
	}
	return nil
}

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
