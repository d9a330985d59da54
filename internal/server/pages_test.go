package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestPages reads each list in pages, and with the client, which follows them.
func TestPages(t *testing.T) {
	r := newRig(t)
	admin := r.tokens[RoleAdmin]
	names := []string{"x1", "x2", "x3", "x4", "x5"}
	for _, name := range names {
		for _, at := range []string{"/projects/web/tokens", "/tokens"} {
			if a := r.keyed(t, admin, "", at, `{"name":"`+name+`","role":"viewer"}`); a.status != http.StatusCreated {
				t.Fatalf("%+v", a)
			}
		}
		if status, _ := r.putIf(t, "/api/v1/projects/web/secrets/"+name, `{"value":"eA=="}`, "X", "x"); status != http.StatusOK {
			t.Fatal(status)
		}
		for _, tool := range []string{name, "x1"} { // all versions but those of x1 are the first
			text := strings.Replace(oneTool, "<&>", name+tool, 1)
			if a := r.keyed(t, admin, "", "/projects/web/tools/"+tool+"/versions", r.bundle(t, text)); a.status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
		}
	}
	versions := []string{"5", "4", "3", "2", "1"}
	tokens := append([]string{"admin", "author", "operator", "runner", "viewer"}, names...)
	for path, c := range map[string]struct {
		list, name string
		want       []string
	}{
		"/projects/web/tools":             {"tools", "tool", names},
		"/projects/web/tools/x1/versions": {"versions", "version", versions},
		"/projects/web/secrets":           {"secrets", "name", names},
		"/projects/web/tokens":            {"tokens", "name", names},
		"/tokens":                         {"tokens", "name", tokens},
	} {
		for _, limit := range []int{1, 2, len(c.want), 1000} {
			var all []string
			query, pages := url.Values{"limit": {fmt.Sprint(limit)}}, 0
			for next := ""; pages == 0 || next != ""; pages++ {
				if next != "" {
					query.Set("cursor", next)
				}
				line := r.first(t, http.MethodGet, path+"?"+query.Encode(), admin, "")
				var page map[string]json.RawMessage
				var items []map[string]any
				if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "200 ")), &page); err != nil {
					t.Fatalf("%s: %s: %v", path, line, err)
				}
				if err := json.Unmarshal(page[c.list], &items); err != nil || len(items) > limit {
					t.Fatalf("%s: %s: %v", path, line, err)
				}
				next = ""
				if page["next"] != nil {
					if err := json.Unmarshal(page["next"], &next); err != nil {
						t.Fatal(err)
					}
				}
				for _, one := range items {
					all = append(all, fmt.Sprint(one[c.name]))
				}
			}
			if want := (len(c.want) + limit - 1) / limit; !slices.Equal(all, c.want) || pages != want {
				t.Errorf("%s in %d pages of %d: %q, want %q in %d", path, pages, limit, all, c.want, want)
			}
		}
	}
	if got := r.first(t, http.MethodGet, "/projects/web/tools/x1/versions?cursor=1", admin, ""); got != `200 {"versions":[]}` {
		t.Errorf("versions before the first: %s", got)
	}
	c := r.client(t, RoleAdmin)
	if all, err := c.Versions(t.Context(), "web", "x1"); err != nil || len(all) != 5 || all[0].Version != 5 {
		t.Errorf("the client has %+v, %v", all, err)
	}
	if all, err := c.Tools(t.Context(), "nothing"); err != nil || all == nil || len(all) != 0 {
		t.Errorf("of a project without tools, the client has %+v, %v", all, err)
	}
}
