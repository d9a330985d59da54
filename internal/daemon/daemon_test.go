package daemon_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/daemon"
)

func TestStatus(t *testing.T) {
	line := "mayflyd dev " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	for _, c := range []struct {
		args, out, err string
		status         int
	}{
		{"version", line, "", 0},
		{"--version", line, "", 0},
		{"no-such-command", "", "mayflyd: unknown command \"no-such-command\" for \"mayflyd\"\n", 1},
		{"server --data /nowhere --limit-requests -1", "", "mayflyd: --limit-requests and --limit-failures are numbers from 0 on\n", 1},
		{"server --data /nowhere --limit-failures x", "", "mayflyd: invalid argument \"x\" for \"--limit-failures\" flag: strconv.ParseFloat: parsing \"x\": invalid syntax\n", 1},
		{"server --data /nowhere --queue-size -1", "", "mayflyd: --queue-size is a number from 0 on\n", 1},
		{"server --data /nowhere --database=", "", "mayflyd: --database has an empty value, for example from a variable that isn't set; give it a value, or leave the flag out\n", 1},
		{"server backup - --data=", "", "mayflyd: --data has an empty value, for example from a variable that isn't set; give it a value, or leave the flag out\n", 1},
		{"version more", "", "mayflyd: unknown command \"more\" for \"mayflyd version\"\n", 1},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, errOut strings.Builder
			status := daemon.Main(t.Context(), strings.Fields(c.args), &out, &errOut)
			if status != c.status || out.String() != c.out || errOut.String() != c.err {
				t.Errorf("got %d, %q, %q; want %d, %q, %q", status, out.String(), errOut.String(), c.status, c.out, c.err)
			}
		})
	}
}

func TestVersionJSON(t *testing.T) {
	var out, errOut strings.Builder
	if status := daemon.Main(t.Context(), []string{"version", "--json"}, &out, &errOut); status != 0 {
		t.Fatalf("status %d: %s", status, errOut.String())
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got["version"] != "dev" || got["go"] != runtime.Version() || got["os"] != runtime.GOOS || got["arch"] != runtime.GOARCH {
		t.Errorf("got %v, want the version dev and this build's go, os and arch", got)
	}
}
