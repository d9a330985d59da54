package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
)

func TestTimeOrAgo(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T12:00:00Z": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"24h":                  now.Add(-24 * time.Hour),
		"7d":                   time.Date(2026, 3, 3, 12, 0, 0, 0, time.Local),
	} {
		if got, err := timeOrAgo("since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("timeOrAgo(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "-1h", "1.5d", "70000d", "yesterday", "2026-13-01"} {
		if got, err := timeOrAgo("since", text, now); err == nil {
			t.Errorf("timeOrAgo(%q) = %v, want an error", text, got)
		}
	}
}

// quietly has a command print nothing when it fails, as below its root.
func quietly(c *cobra.Command) *cobra.Command {
	c.SilenceUsage, c.SilenceErrors = true, true
	return c
}

// TestHeadIsWhole has a shortened or mistyped --head refused before anything is read: it would be found in no log.
func TestHeadIsWhole(t *testing.T) {
	whole := strings.Repeat("0aF3", 16)
	for _, head := range []string{whole[:10], whole + "0", whole[:63] + "g", whole[:63] + "…", "HASH"} {
		c := quietly(newAuditVerifyCommand(streams{in: strings.NewReader("")}))
		c.SetArgs([]string{"-", "--head", head})
		var wrong *usageError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "--head must be the 64 hexadecimal digits that audit verify printed") {
			t.Errorf("%q: %v", head, err)
		}
	}
	c := quietly(newAuditVerifyCommand(streams{in: strings.NewReader("")}))
	c.SetArgs([]string{"-", "--head", whole})
	var broken *audit.BrokenError
	if err := c.ExecuteContext(t.Context()); !errors.As(err, &broken) {
		t.Errorf("%q: %v", whole, err)
	}
}

// TestAuditListKeepsWhatItHas has a server fail at the second page: the first one must be printed, and not held until the end.
func TestAuditListKeepsWhatItHas(t *testing.T) {
	r := remoteOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(api.AuditList{Entries: []audit.Entry{{Number: 1, Action: "create-token"}}, Next: "more"}) // the client says so
	})
	var out strings.Builder
	f := auditListFlags{whole: true}
	if err := f.list(t.Context(), streams{out: &out}, r); err == nil || !strings.Contains(out.String(), "create-token") {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestAuditListLimit(t *testing.T) {
	c := quietly(newAuditListCommand(streams{}))
	c.SetArgs([]string{"--all", "--limit", "5"})
	var wrong *usageError
	if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "can't be given together") {
		t.Error(err)
	}
}
