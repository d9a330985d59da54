package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/mayfly-run/mayfly/internal/store"
)

// Projects implements store.Projects. From the table of runs, which is large, it reads one entry of an index for each project.
func (s *Store) Projects(ctx context.Context, only, after string, most int) (all []store.Project, err error) {
	err = s.read(ctx, func(rows row) error {
		var p store.Project
		var set int64
		err := rows.Scan(&p.Name, &p.Tools, &set)
		p.Policy = set > 0
		all = append(all, p)
		return err
	}, `WITH RECURSIVE r(project) AS (
			SELECT MIN(project) FROM runs WHERE project > ?
			UNION ALL SELECT (SELECT MIN(project) FROM runs WHERE project > r.project) FROM r WHERE r.project IS NOT NULL),
		p AS (SELECT project FROM r WHERE project IS NOT NULL UNION SELECT project FROM versions UNION SELECT project FROM drafts UNION SELECT project FROM secrets
			UNION SELECT project FROM tokens WHERE project <> '' UNION SELECT project FROM policies o WHERE o.text <> '' AND o.version = (SELECT MAX(version) FROM policies l WHERE l.project = o.project))
		SELECT p.project, (SELECT COUNT(DISTINCT tool) FROM versions v WHERE v.project = p.project),
			(SELECT COUNT(*) FROM policies o WHERE o.project = p.project AND o.text <> '' AND o.version = (SELECT MAX(version) FROM policies l WHERE l.project = p.project))
		FROM p WHERE p.project > ? AND (? = '' OR p.project = ?) ORDER BY p.project LIMIT ?`, after, after, only, only, most)
	return all, err
}

// Taken implements store.Queue.
func (s *Store) Taken(ctx context.Context) (all []store.Taken, err error) {
	err = s.read(ctx, func(rows row) error {
		var t store.Taken
		err := rows.Scan(&t.Run, &t.Project, &t.Runner, &t.Size.CPU, &t.Size.Memory, &t.Size.Disk)
		all = append(all, t)
		return err
	}, `SELECT run, project, runner, cpu, memory, disk FROM queue WHERE runner <> '' AND pool <> ''`)
	slices.SortFunc(all, func(a, b store.Taken) int { return cmp.Compare(a.Run, b.Run) }) // with ORDER BY, SQLite reads the whole queue in that order
	return all, err
}
