package cli

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestRunListFlags reads flags that select runs.
func TestRunListFlags(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	f := runListFlags{runs: api.RunFilter{Limit: 50}, since: "24h", until: "1h", labels: []string{"a=", "b=x=y,z"}}
	got, err := f.filter(now)
	if err != nil || !got.Since.Equal(now.Add(-24*time.Hour)) || !got.Until.Equal(now.Add(-time.Hour)) || got.Limit != 50 ||
		!maps.Equal(got.Labels, map[string]string{"a": "", "b": "x=y,z"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct {
		f    runListFlags
		want string
	}{
		{runListFlags{runs: api.RunFilter{Limit: 1}, since: "soon"}, `--since "soon" is not a time`},
		{runListFlags{runs: api.RunFilter{Limit: 1}, until: "soon"}, `--until "soon" is not a time`},
		{runListFlags{runs: api.RunFilter{Limit: 1}, labels: []string{"x"}}, `--label "x" is not KEY=VALUE`},
		{runListFlags{runs: api.RunFilter{Limit: 1}, labels: []string{"x=1", "x=1"}}, "--label x is given twice"},
		{runListFlags{}, "--limit 0 must be at least 1"},
	} {
		if _, err := c.f.filter(now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.f, err, c.want)
		}
	}
}

// TestRunListFlagsAreForServers has flags refused that this machine's list of runs would ignore.
func TestRunListFlagsAreForServers(t *testing.T) {
	for _, flag := range []string{"--tool=x", "--since=1h", "--label=a=b", "--limit=3"} {
		c := quietly(newRunsCommand(streams{}))
		c.SetArgs([]string{"--server", "local", flag})
		var wrong *usageError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "is for the runs of a server") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// TestRerunFlags has a wrong flag refused before a server is asked, by the name of the command that was given.
func TestRerunFlags(t *testing.T) {
	c := quietly(newRerunCommand(streams{}))
	c.SetArgs([]string{"RUN", "--arg", "x"})
	var wrong *usageError
	if err := c.ExecuteContext(t.Context()); !errors.As(err, &wrong) || wrong.command != "rerun" || !strings.Contains(err.Error(), `--arg "x" is not NAME=VALUE`) {
		t.Errorf("%v, %+v", err, wrong)
	}
}
