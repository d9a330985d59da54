package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// client returns a client with the token of a role.
func (r *rig) client(t *testing.T, role string) *api.Client {
	t.Helper()
	c, err := api.NewClient(api.ClientOptions{Server: r.url, Token: r.tokens[role]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestListRuns lists runs by what the API can select.
func TestListRuns(t *testing.T) {
	r := newRig(t)
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	id := func(i int) string {
		return fmt.Sprintf("%s-7%03x-8000-%012x", firstID(begin.Add(time.Duration(i)*time.Hour)), i, i)
	}
	for i := range 6 {
		n := store.NewRun{ID: id(i), Project: "own", Tool: "a", Kind: "tool", Pool: "default", Request: []byte("{}"), AcceptedBy: "ada"}
		if i%2 == 1 {
			n.Tool, n.AcceptedBy, n.Labels = "odd", "bob", map[string]string{"team": "web, and db", "i": fmt.Sprint(i)}
		}
		if i == 5 {
			n.Parent = store.Parent{Run: id(4), Step: "build"}
		}
		var to *store.Lessee
		if i == 0 {
			to = &store.Lessee{Runner: holder("default", "build-1", "instance"), Lease: time.Hour}
		}
		if err := r.store.Accept(t.Context(), n, to); err != nil {
			t.Fatal(err)
		}
	}
	c := r.client(t, RoleViewer)
	for _, one := range []struct {
		name string
		f    api.RunFilter
		want []int
	}{
		{"all", api.RunFilter{}, []int{4, 3, 2, 1, 0}},
		{"since", api.RunFilter{Since: begin.Add(3 * time.Hour)}, []int{4, 3}},
		{"a bit later", api.RunFilter{Since: begin.Add(3*time.Hour + time.Millisecond)}, []int{4}},
		{"until", api.RunFilter{Until: begin.Add(time.Hour)}, []int{0}},
		{"between", api.RunFilter{Since: begin.Add(time.Hour), Until: begin.Add(3 * time.Hour)}, []int{2, 1}},
		{"before all", api.RunFilter{Until: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)}, nil},
		{"after all", api.RunFilter{Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil},
		{"until, further on", api.RunFilter{Until: begin.Add(3 * time.Hour), Cursor: id(2)}, []int{1, 0}},
		{"label with a comma", api.RunFilter{Labels: map[string]string{"team": "web, and db"}}, []int{3, 1}},
		{"labels", api.RunFilter{Labels: map[string]string{"team": "web, and db", "i": "1"}}, []int{1}},
		{"by", api.RunFilter{By: "bob"}, []int{3, 1}},
		{"runner", api.RunFilter{Runner: "build-1"}, []int{0}},
		{"text", api.RunFilter{Text: "OD"}, []int{3, 1}},
		{"text of an id", api.RunFilter{Text: id(2)[9:]}, []int{2}},
		{"steps", api.RunFilter{Parent: id(4)}, []int{5}},
		{"tool and state", api.RunFilter{Tool: "odd", Status: []string{"queued", "failed"}}, []int{3, 1}},
	} {
		t.Run(one.name, func(t *testing.T) {
			list, err := c.Runs(t.Context(), "own", one.f)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, r := range list.Runs {
				got = append(got, r.ID)
			}
			for _, i := range one.want {
				want = append(want, id(i))
			}
			if !slices.Equal(got, want) || list.Next != "" {
				t.Errorf("%q, then %q; want %q", got, list.Next, want)
			}
		})
	}
	for _, wrong := range []url.Values{{"label": {"team"}}, {"label": {"a=1", "a=2"}}, {"since": {"yesterday"}}} {
		status, p := r.call(t, http.MethodGet, "/api/v1/projects/own/runs?"+wrong.Encode(), r.tokens[RoleViewer], "")
		if status != http.StatusUnprocessableEntity || p.Reason != run.CodeInvalidRequest || len(p.Errors) == 0 {
			t.Errorf("%v: %d, %+v", wrong, status, p)
		}
	}
	if f, err := (&runQuery{}).filter(); err != nil || f.Look != lookAtOnce {
		t.Errorf("a page looks at %d runs, %v", f.Look, err)
	}
}

// TestFirstID compares bounds with ids that are made now.
func TestFirstID(t *testing.T) {
	for range 100 {
		begin := time.Now()
		id := run.NewID()
		if firstID(begin) > id || firstID(time.Now().Add(time.Millisecond)) <= id {
			t.Fatalf("%s was made between %s and %s", id, begin, time.Now())
		}
	}
}

// TestListSaysWhyRunsWait lists runs that wait for runners that aren't there, one that only waits, and one that has ended.
func TestListSaysWhyRunsWait(t *testing.T) {
	r := newRig(t)
	runner := store.Runner{Holder: holder("default", "r", "instance"), Pool: "default", Name: "r", Labels: []string{"gpu"}, Slots: 1, Capacity: store.Size{CPU: 1000, Memory: 1 << 30, Disk: 1 << 30}}
	if _, err := r.store.AddRunner(t.Context(), runner); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i, one := range []struct {
		n   store.NewRun
		why string
	}{
		{store.NewRun{Pool: "none"}, "no runner of the pool none is connected"},
		{store.NewRun{Pool: "default"}, ""},
		{store.NewRun{Pool: "default", Needs: []string{"gpu"}}, ""},
		{store.NewRun{Pool: "default", Needs: []string{"gpu", "big"}}, "no runner of the pool default has the label big"},
		{store.NewRun{Pool: "default", Size: store.Size{Memory: 4 << 30}}, "no runner of the pool default has memory 4Gi; the most is 1Gi"},
		{store.NewRun{Pool: "none"}, "no runner of the pool none is connected"},
	} {
		one.n.ID, one.n.Project, one.n.Kind, one.n.Request = fmt.Sprint(i), "own", "tool", []byte("{}")
		if err := r.store.Accept(t.Context(), one.n, nil); err != nil {
			t.Fatal(err)
		}
		want[one.n.ID] = one.why
	}
	r.ran(t, store.NewRun{ID: "over", Needs: []string{"big"}}, &run.Result{Status: run.Succeeded})
	want["over"] = ""
	list, err := r.client(t, RoleViewer).Runs(t.Context(), "own", api.RunFilter{})
	if err != nil || len(list.Runs) != len(want) {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, one := range list.Runs {
		if one.Waiting != want[one.ID] {
			t.Errorf("run %s waits for %q, want %q", one.ID, one.Waiting, want[one.ID])
		}
	}
}
