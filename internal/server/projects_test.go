package server

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestProjects has runs of two projects on a runner: each token sees its own project, and of the runner what it has of that.
func TestProjects(t *testing.T) {
	r := newRigWith(t, Options{QueueSize: 7, Limits: Limits{Requests: 500}})
	runner := holder(defaultPool, "r", reporter)
	for _, one := range []store.Runner{
		{Holder: runner, Pool: defaultPool, Name: "r", Slots: 4, Labels: []string{"gpu"}, Capacity: store.Size{CPU: 8000, Memory: 1 << 30, Disk: 1 << 40}},
		{Holder: holder("other", "o", reporter), Pool: "other", Name: "o", Slots: 1, Capacity: store.Unbounded()},
	} {
		if _, err := r.store.AddRunner(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	for _, project := range []string{"own", "foreign"} {
		n := store.NewRun{ID: "of-" + project, Project: project, Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}"), Size: store.Size{CPU: 500, Memory: 1 << 20}}
		if err := r.store.Accept(t.Context(), n, &store.Lessee{Runner: runner, Lease: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	for id, project := range map[string]string{"waits": "foreign", "waits too": "foreign", "cancelled": "own"} {
		n := store.NewRun{ID: id, Project: project, Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}")}
		if err := r.store.Accept(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.Cancel(t.Context(), "own", "cancelled", store.Ended{Status: run.Cancelled, Result: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]string{"own viewer": "[own]", RoleViewer: "[foreign own]", RoleRunner: "[]"} {
		list, err := r.client(t, role).Projects(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, p := range list.Projects {
			names = append(names, p.Name)
			want := map[string]string{"own": "0 map[cancelled:1]", "foreign": "2 map[]"}[p.Name]
			if got := fmt.Sprint(p.Queued, " ", p.Ended); got != want {
				t.Errorf("%s of %s: %s, want %s", p.Name, role, got, want)
			}
		}
		if fmt.Sprint(names) != want || list.Limits != (api.ProjectLimits{QueueSize: 7, Requests: 500}) {
			t.Errorf("%s sees %v, want %s, limits %+v", role, names, want, list.Limits)
		}
	}
	all, err := r.client(t, RoleViewer).Runners(t.Context())
	if err != nil || len(all) != 2 || !slices.Equal(all[0].Runs, []string{"of-foreign", "of-own"}) || all[0].Used != (api.Capacity{CPU: 1, Memory: 2 << 20}) {
		t.Errorf("runners: %+v, %v", all, err)
	}
	mine, err := r.client(t, "own viewer").ProjectRunners(t.Context(), "own")
	if err != nil || len(mine) != 2 || !slices.Equal(mine[0].Runs, []string{"of-own"}) || mine[0].Used != all[0].Used || mine[0].Busy != 2 || mine[1].Runs == nil {
		t.Errorf("as a project sees them: %+v, %v", mine, err)
	}
	for role, project := range map[string]string{RoleViewer: "", "own viewer": "own"} {
		pools, err := r.client(t, role).Pools(t.Context(), project)
		if err != nil || len(pools) != 2 || pools[0].PoolSlots != (api.PoolSlots{Pool: defaultPool, Runners: 1, Slots: 4, Busy: 2, Free: 2}) || !slices.Equal(pools[0].Labels, []string{"gpu"}) ||
			!reflect.DeepEqual(pools[0].Available, api.Room{CPU: new(7.0), Memory: new(int64(1<<30 - 2<<20)), Disk: new(int64(1 << 40))}) || pools[1].Capacity != (api.Capacity{}) || pools[1].Available != (api.Room{}) {
			t.Errorf("%s: pools %+v, %v", role, pools, err)
		}
	}
	if _, err := r.store.DrainRunner(t.Context(), "o"); err != nil { // its pool has nothing left
		t.Fatal(err)
	}
	n := store.NewRun{ID: "large", Project: "own", Tool: "t", Kind: "tool", Pool: defaultPool, Request: []byte("{}"), Size: store.Size{CPU: 7000, Memory: 1 << 30, Disk: 1 << 40}}
	if err := r.store.Accept(t.Context(), n, &store.Lessee{Runner: runner, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	pools, err := r.client(t, RoleViewer).Pools(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	none := api.Room{CPU: new(0.0), Memory: new(int64(0)), Disk: new(int64(0))}
	for i, free := range []int{1, 0} {
		if !reflect.DeepEqual(pools[i].Available, none) || pools[i].Free != free {
			t.Errorf("full or draining: %+v", pools[i])
		}
	}
	if status, _ := r.call(t, "GET", "/api/v1/projects/foreign/runners", r.tokens["own viewer"], ""); status != http.StatusForbidden {
		t.Errorf("the runners of a foreign project: %d", status)
	}
}
