package tool

import (
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Search is how far names that a definition has may lead: its files are taken from whoever gave it.
func (s Source) Search() ownership.Search {
	if s.Path == shape.StdinName || s.Path == "-" {
		return ownership.Search{Giver: -1}
	}
	return ownership.GivenBy(s.Path)
}

// CheckFiles is [ownership.Search.Check] for the files that a tool names: its script, and what its volumes mount, whole folders included.
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
