package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/store"
)

const draftColumns = `project, name, kind, definition, tag, base, changed, changed_by`

func scanDraft(rows row, more ...any) (store.Draft, error) {
	var d store.Draft
	var changed int64
	err := rows.Scan(append([]any{&d.Project, &d.Name, &d.Kind, &d.Definition, &d.Tag, &d.Base, &changed, &d.ChangedBy}, more...)...)
	d.Changed = timeOf(changed)
	return d, err
}

// SetDraft implements store.Drafts.
func (s *Store) SetDraft(ctx context.Context, d store.Draft, is *string) (made store.Draft, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *tx) error {
		old, err := tagOfDraft(ctx, tx, d.Project, d.Name)
		if err != nil {
			return err
		}
		if is != nil && *is != old {
			return refused{store.ErrChanged}
		}
		if old == "" {
			if err := roomForDraft(ctx, tx, d.Project); err != nil {
				return err
			}
		}
		made = store.Draft{}
		// The tag in the condition keeps out another server that changes the draft meanwhile.
		err = tx.rows(ctx, func(rows row) (err error) {
			made, err = scanDraft(rows)
			return err
		}, `INSERT INTO drafts (project, name, kind, definition, manifest, tag, base, changed, changed_by) VALUES (?, ?, ?, ?, ?, ?, ?, NOW, ?)
			ON CONFLICT (project, name) DO UPDATE SET kind = excluded.kind, definition = excluded.definition, manifest = excluded.manifest, tag = excluded.tag,
			base = excluded.base, changed = excluded.changed, changed_by = excluded.changed_by WHERE drafts.tag = ? RETURNING `+draftColumns,
			d.Project, d.Name, d.Kind, d.Definition, d.Manifest, d.Tag, d.Base, d.ChangedBy, old)
		if err == nil && made.Name == "" {
			err = errTaken
		}
		return err
	})
	made.Manifest = d.Manifest
	return made, err
}

// roomForDraft fails if a project has as many drafts as it may have. No other transaction makes one of the project meanwhile.
func roomForDraft(ctx context.Context, tx *tx, project string) error {
	if err := tx.lock(ctx, "drafts of "+project); err != nil {
		return err
	}
	n := 0
	err := tx.rows(ctx, func(rows row) error { return rows.Scan(&n) }, `SELECT COUNT(*) FROM drafts WHERE project = ?`, project)
	if err == nil && n >= store.MostDrafts {
		err = refused{store.ErrTooManyDrafts}
	}
	return err
}

// tagOfDraft returns the tag of a draft, or "" if there is none.
func tagOfDraft(ctx context.Context, tx *tx, project, name string) (tag string, err error) {
	err = tx.rows(ctx, func(rows row) error { return rows.Scan(&tag) }, `SELECT tag FROM drafts WHERE project = ? AND name = ?`, project, name)
	return tag, err
}

// Draft implements store.Drafts.
func (s *Store) Draft(ctx context.Context, project, name string) (d store.Draft, err error) {
	err = s.read(ctx, func(rows row) (err error) {
		var manifest []byte
		d, err = scanDraft(rows, &manifest)
		d.Manifest = manifest
		return err
	}, `SELECT `+draftColumns+`, manifest FROM drafts WHERE project = ? AND name = ?`, project, name)
	if err == nil && d.Name == "" {
		err = store.ErrNotFound
	}
	return d, err
}

// openedDraft are the files of the draft that was asked for last, by their paths. It isn't changed.
type openedDraft struct {
	project, name, tag string
	digests            map[string]string
}

// DraftFile implements store.Drafts. The manifest of a draft with many files isn't read again for each of them.
func (s *Store) DraftFile(ctx context.Context, project, name, path string) (digest string, err error) {
	is := openedDraft{project: project, name: name}
	err = s.read(ctx, func(rows row) error { return rows.Scan(&is.tag) }, `SELECT tag FROM drafts WHERE project = ? AND name = ?`, project, name)
	if err == nil && is.tag == "" {
		err = store.ErrNotFound
	}
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	was := s.opened
	s.mu.Unlock()
	if was.project == project && was.name == name && was.tag == is.tag {
		return was.digests[path], nil
	}
	d, err := s.Draft(ctx, project, name)
	if err != nil {
		return "", err
	}
	var manifest struct {
		Files []struct {
			Path   string `json:"path"`
			Digest string `json:"digest"`
		} `json:"files"`
	}
	if err := json.Unmarshal(d.Manifest, &manifest); err != nil {
		return "", fmt.Errorf("read draft %s: %w", name, err)
	}
	is.tag, is.digests = d.Tag, map[string]string{}
	for _, f := range manifest.Files {
		is.digests[f.Path] = f.Digest
	}
	s.mu.Lock()
	s.opened = is
	s.mu.Unlock()
	return is.digests[path], nil
}

// Drafts implements store.Drafts.
func (s *Store) Drafts(ctx context.Context, project string) (all []store.Draft, omitted []string, err error) {
	err = s.read(ctx, func(rows row) error {
		d, err := scanDraft(rows)
		all = append(all, d)
		return err
	}, `SELECT `+draftColumns+` FROM drafts WHERE project = ? ORDER BY name`, project)
	return all, nil, err
}

// RemoveDraft implements store.Drafts.
func (s *Store) RemoveDraft(ctx context.Context, project, name string, is *string) error {
	return s.write(ctx, func(ctx context.Context, tx *tx) error {
		old, err := tagOfDraft(ctx, tx, project, name)
		switch {
		case err != nil:
			return err
		case old == "":
			return refused{store.ErrNotFound}
		case is != nil && *is != old:
			return refused{store.ErrChanged}
		}
		n, err := tx.exec(ctx, `DELETE FROM drafts WHERE project = ? AND name = ? AND tag = ?`, project, name, old)
		if err == nil && n == 0 {
			err = errTaken
		}
		return err
	})
}
