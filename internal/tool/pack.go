package tool

import (
	"context"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Pack puts the files of the tool's volumes into a store, and sets their digest in the tool. Runners on other machines that
// have the store then don't need the tool's folder.
func (t *Tool) Pack(ctx context.Context, store content.Store) error {
	var paths []string
	for _, v := range t.Volumes {
		if v.File != "" {
			paths = append(paths, v.File)
		}
	}
	if len(paths) == 0 || t.Source.Files != "" {
		return nil
	}
	if err := t.NoFolder(); err != nil {
		return err
	}
	digest, err := store.Pack(ctx, t.Source.Dir, paths)
	if err != nil {
		return fmt.Errorf("%s: take the files of tool %q along: %w", t.Source.Position, t.Name, err)
	}
	t.Source.Files = digest
	return nil
}

// NoFolder returns an error if the tool's volumes have files, and neither they nor the tool's folder are known.
func (t *Tool) NoFolder() error {
	if t.Source.Dir != "" || t.Source.Files != "" {
		return nil
	}
	for _, v := range t.Volumes {
		if v.File != "" {
			return &shape.PlacedError{Position: v.Position, Err: fmt.Errorf("volume %s: the definition isn't in a file, so there is no folder for its files; save it to a file", v.Name)}
		}
	}
	return nil
}
