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
		{"no-such-command", "", "mayflyd: unknown command \"no-such-command\" for \"mayflyd\"; see 'mayflyd --help'\n", 125},
		{"server --data /nowhere --limit-requests -1", "", "mayfly: --limit-requests and --limit-failures must be at least 0\n", 125},
		{"server --data /dev/null/none --limit-requests NaN", "", "mayfly: --limit-requests and --limit-failures must be at least 0\n", 125},
		{"server --data /nowhere --limit-failures x", "", "mayfly: invalid argument \"x\" for \"--limit-failures\" flag: strconv.ParseFloat: parsing \"x\": invalid syntax; see 'mayfly server --help'\n", 125},
		{"server --data /nowhere --queue-size -1", "", "mayfly: --queue-size must be at least 0\n", 125},
		{"server --data /nowhere --database=", "", "mayfly: --database has an empty value, for example from a variable that isn't set; give it a value, or leave the flag out; see 'mayfly server --help'\n", 125},
		{"server backup - --data=", "", "mayfly: --data has an empty value, for example from a variable that isn't set; give it a value, or leave the flag out; see 'mayfly server backup --help'\n", 125},
		{"server backup", "", "mayfly: accepts 1 arg(s), received 0; see 'mayfly server backup --help'\n", 125},
		{"server", "", "mayfly: required flag(s) \"data\" not set; see 'mayfly server --help'\n", 125},
		{"runner x", "", "mayfly: unknown command \"x\" for \"mayfly runner\"; see 'mayfly runner --help'\n", 125},
		{"version more", "", "mayflyd: unknown command \"more\" for \"mayflyd version\"; see 'mayflyd version --help'\n", 125},
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

// TestHelp has the help of what mayfly executes name the commands as they are given.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"server --help":        "Use \"mayfly server [command] --help\"",
		"server backup --help": "\n  mayfly server backup FILE|-",
		"runner --help":        "See also: mayfly runner ls, mayfly runner drain NAME\n",
		"version --help":       "\n  mayflyd version",
	} {
		var out, errOut strings.Builder
		if status := daemon.Main(t.Context(), strings.Fields(args), &out, &errOut); status != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %d, %s%s; want %q", args, status, out.String(), errOut.String(), want)
		}
	}
}
