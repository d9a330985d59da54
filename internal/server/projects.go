package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

// ProjectQuery is a page of the list of projects.
type ProjectQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"63" doc:"next of the page before"`
}

func (s *Server) registerProjects() {
	huma.Register(s.api, operation("list-projects", http.MethodGet, "/projects", RoleAny, "List the projects that the token may see"), s.listProjects)
	huma.Register(s.api, operation("list-pools", http.MethodGet, "/pools", RoleViewer, "List the pools with their slots and capacity"),
		func(ctx context.Context, _ *struct{}) (*body[[]api.Pool], error) { return s.listPools(ctx) })
	huma.Register(s.api, operation("list-project-pools", http.MethodGet, "/projects/{project}/pools", RoleViewer, "List the pools, all of which a project may use"),
		func(ctx context.Context, _ *InProject) (*body[[]api.Pool], error) { return s.listPools(ctx) })
	huma.Register(s.api, operation("list-project-runners", http.MethodGet, "/projects/{project}/runners", RoleViewer, "List the runners, with what they run of a project"),
		func(ctx context.Context, in *InProject) (*body[[]api.Runner], error) {
			return s.runnersFor(ctx, in.Project)
		})
}

func (s *Server) listProjects(ctx context.Context, in *ProjectQuery) (*body[api.ProjectList], error) {
	out := &body[api.ProjectList]{Body: api.ProjectList{Projects: []api.Project{}, Limits: api.ProjectLimits{QueueSize: s.queues.most, Requests: s.limits.Requests}}}
	who := who(ctx)
	if who.Role == RoleRunner {
		return out, nil // it sees none
	}
	all, err := s.store.Projects(ctx, who.Project, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, s.explain(err, "project")
	}
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.Body.Next = all[in.Limit-1].Name
	}
	now, err := s.store.Now(ctx)
	if err != nil {
		return nil, s.explain(err, "project")
	}
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	ended, err := s.store.EndedIn(ctx, names, now.Add(-23*time.Hour))
	if err != nil {
		return nil, s.explain(err, "project")
	}
	queued, err := s.store.QueuedIn(ctx, names, mostCounted)
	if err != nil {
		return nil, s.explain(err, "project")
	}
	for _, p := range all {
		one := api.Project{Name: p.Name, Tools: p.Tools, Policy: p.Policy, Ended: map[string]int64{}, Queued: queued[p.Name]}
		for status, n := range ended[p.Name] {
			one.Ended[string(status)] = n
		}
		out.Body.Projects = append(out.Body.Projects, one)
	}
	return out, nil
}

// runnersFor lists the runners, each with those of its runs that are of a project; of all projects for "".
func (s *Server) runnersFor(ctx context.Context, project string) (*body[[]api.Runner], error) {
	all, used, runs, err := s.busyRunners(ctx, project)
	if err != nil {
		return nil, s.explain(err, "runner")
	}
	out := &body[[]api.Runner]{Body: []api.Runner{}}
	for _, r := range all {
		one := s.runnerOf(r)
		one.Used, one.Runs = capacityOf(used[r.Holder]), append([]string{}, runs[r.Holder]...)
		out.Body = append(out.Body, one)
	}
	return out, nil
}

// busyRunners returns the runners, what is used of each, and the runs that it has of a project.
func (s *Server) busyRunners(ctx context.Context, project string) (all []store.Runner, used map[string]store.Size, runs map[string][]string, err error) {
	if all, err = s.store.Runners(ctx, listed); err != nil {
		return nil, nil, nil, err
	}
	taken, err := s.store.Taken(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	used, runs = map[string]store.Size{}, map[string][]string{}
	for _, one := range taken {
		used[one.Runner] = used[one.Runner].Plus(one.Size)
		if project == "" || one.Project == project {
			runs[one.Runner] = append(runs[one.Runner], one.Run)
		}
	}
	return all, used, runs, nil
}

func (s *Server) listPools(ctx context.Context) (*body[[]api.Pool], error) {
	all, taken, _, err := s.busyRunners(ctx, "")
	if err != nil {
		return nil, s.explain(err, "pool")
	}
	type sums struct{ capacity, used, available store.Size }
	size := map[string]sums{}
	labels := map[string][]string{}
	for _, r := range all {
		state := s.stateOf(r)
		if state == runnerAway {
			continue
		}
		sum := size[r.Pool]
		sum.capacity, sum.used = bounded(sum.capacity, r.Capacity), sum.used.Plus(taken[r.Holder])
		if state == runnerReady {
			sum.available = bounded(sum.available, left(r.Capacity, taken[r.Holder]))
		}
		size[r.Pool] = sum
		labels[r.Pool] = append(labels[r.Pool], withoutOwn(r.Labels)...)
	}
	out := &body[[]api.Pool]{Body: []api.Pool{}}
	for _, slots := range s.slotsOf(all) {
		sum, have := size[slots.Pool], labels[slots.Pool]
		slices.Sort(have)
		out.Body = append(out.Body, api.Pool{
			PoolSlots: slots, Labels: append([]string{}, slices.Compact(have)...), Capacity: capacityOf(sum.capacity), Used: capacityOf(sum.used),
			Available: roomOf(sum.available),
		})
	}
	return out, nil
}

// roomOf is what is left of a capacity, for the API.
func roomOf(size store.Size) (r api.Room) {
	c, none := capacityOf(size), store.Unbounded()
	if size.CPU < none.CPU {
		r.CPU = &c.CPU
	}
	if size.Memory < none.Memory {
		r.Memory = &c.Memory
	}
	if size.Disk < none.Disk {
		r.Disk = &c.Disk
	}
	return r
}

// bounded is the sum of two capacities, which has no bound if one of them has none.
func bounded(a, b store.Size) store.Size {
	none := store.Unbounded()
	plus := func(a, b, none int64) int64 {
		if a == none || b == none {
			return none
		}
		return a + b
	}
	return store.Size{CPU: plus(a.CPU, b.CPU, none.CPU), Memory: plus(a.Memory, b.Memory, none.Memory), Disk: plus(a.Disk, b.Disk, none.Disk)}
}

// left is what is left of a capacity; what has no bound stays so.
func left(capacity, used store.Size) store.Size {
	none := store.Unbounded()
	minus := func(a, b, none int64) int64 {
		if a == none {
			return none
		}
		return max(0, a-b)
	}
	return store.Size{CPU: minus(capacity.CPU, used.CPU, none.CPU), Memory: minus(capacity.Memory, used.Memory, none.Memory), Disk: minus(capacity.Disk, used.Disk, none.Disk)}
}
