package tool

import (
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Search returns how far the names in the definition may lead: only to files of the user who gave the definition, or of
// others whom ownership trusts.
func (s Source) Search() ownership.Search {
	if s.Path == shape.StdinName || s.Path == "-" {
		return ownership.Search{Giver: -1}
	}
	return ownership.GivenBy(s.Path)
}

// CheckFiles is [ownership.Search.CheckTree] for the files that a tool names: its script, and the files and folders that its
// volumes mount.
func (t *Tool) CheckFiles(r ownership.Search) error {
	if r.Above == "" {
		return nil
	}
	if t.Script != nil && t.Script.File != "" {
		if err := r.CheckTree(filepath.Join(t.Source.Dir, t.Script.File)); err != nil {
			return err
		}
	}
	for _, v := range t.Volumes {
		if v.File == "" {
			continue
		}
		if err := r.CheckTree(filepath.Join(t.Source.Dir, v.File)); err != nil {
			return err
		}
	}
	return nil
}
