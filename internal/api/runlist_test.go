package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// TestEachRun follows pages that have fewer runs than were asked for, or none.
func TestEachRun(t *testing.T) {
	pages := map[string]RunList{
		"":  {Runs: []Run{{ID: "9"}, {ID: "8"}}, Next: "7"},
		"7": {Next: "5"},
		"5": {Runs: []Run{{ID: "4"}}, Next: "3"},
		"3": {Runs: []Run{{ID: "2"}}},
	}
	var asked []string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("cursor")+" "+q.Get("limit")+" "+q.Get("text"))
		_ = json.NewEncoder(w).Encode(pages[q.Get("cursor")]) // the client says so
	}))
	defer front.Close()
	c, err := NewClient(ClientOptions{Server: front.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	errFull := errors.New("full")
	for _, one := range []struct {
		limit, full int
		want        []string
		asked       []string
	}{
		{0, 0, []string{"9", "8", "4", "2"}, []string{" 1000 x", "7 1000 x", "5 1000 x", "3 1000 x"}},
		{3, 0, []string{"9", "8", "4"}, []string{" 3 x", "7 1 x", "5 1 x"}},
		{2, 0, []string{"9", "8"}, []string{" 2 x"}},
		{2000, 0, []string{"9", "8", "4", "2"}, []string{" 1000 x", "7 1000 x", "5 1000 x", "3 1000 x"}},
		{0, 1, []string{"9"}, []string{" 1000 x"}},
	} {
		t.Run(fmt.Sprint(one.limit, one.full), func(t *testing.T) {
			var got []string
			asked = nil
			err := c.EachRun(t.Context(), "p", RunFilter{Text: "x", Limit: one.limit}, func(r Run) error {
				got = append(got, r.ID)
				if len(got) == one.full {
					return errFull
				}
				return nil
			})
			if (err != nil) != (one.full > 0) || err != nil && !errors.Is(err, errFull) || !slices.Equal(got, one.want) || !slices.Equal(asked, one.asked) {
				t.Errorf("%q, %v, asked for %q; want %q, asked for %q", got, err, asked, one.want, one.asked)
			}
		})
	}
}
