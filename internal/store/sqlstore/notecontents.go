package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pressly/goose/v3"
)

// noteContents is the migration that notes the contents that versions, drafts and requests of a project name: it was sent them before that was noted.
func (d dialect) noteContents() *goose.Migration {
	return goose.NewGoMigration(18, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		named := map[string]map[string]bool{} // digests by project
		for _, q := range []string{
			`SELECT project, manifest FROM versions`, `SELECT project, manifest FROM drafts`,
			`SELECT runs.project, requests.request FROM requests JOIN runs ON runs.id = requests.run`,
		} {
			rows, err := tx.QueryContext(ctx, q)
			if err != nil {
				return err
			}
			err = each(rows, func(rows row) error {
				var project string
				var text []byte
				if err := rows.Scan(&project, &text); err != nil {
					return err
				}
				if named[project] == nil {
					named[project] = map[string]bool{}
				}
				addNamed(named[project], text)
				return nil
			})
			if err != nil {
				return err
			}
		}
		for project, digests := range named {
			if _, err := tx.ExecContext(ctx, d.sql(addContents), project, listed(slices.Collect(maps.Keys(digests)))); err != nil {
				return fmt.Errorf("note the contents of the project %s: %w", project, err)
			}
		}
		return nil
	}}, nil)
}

// addNamed adds the digests of the files that a text names: a manifest, or a request with the definition that came with it. What can't be read, or is
// sealed, came with no definition.
func addNamed(digests map[string]bool, text []byte) {
	type bundle struct {
		Files []struct {
			Digest string `json:"digest"`
		} `json:"files"`
	}
	var all struct {
		bundle
		Bundle bundle `json:"bundle"` // of a workflow
		Asked  struct {
			Bundle bundle `json:"bundle"`
		} `json:"asked"`
	}
	if json.Unmarshal(text, &all) != nil {
		return
	}
	for _, f := range slices.Concat(all.Files, all.Bundle.Files, all.Asked.Bundle.Files) {
		digests[f.Digest] = true
	}
}
