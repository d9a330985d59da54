package commandmock

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// TestSharedCases runs the cases of test/matching, which the SDKs run too.
func TestSharedCases(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "test", "matching", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Want  json.RawMessage
		Call  *Call
		Match bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, c := range cases {
		if c.Call == nil {
			continue // a request
		}
		run++
		t.Run(c.Name, func(t *testing.T) {
			suite, err := suite.Parse("x_test.yaml", []byte(`{"tool": "x", "tests": [{"name": "a", "expect": {"commands": [`+string(c.Want)+`]}}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := &suite.Tests[0].Expect.Commands[0]
			why := Differences(want.Args, want.Stdin, c.Call)
			if (want.Command == c.Call.Command && len(why) == 0) != c.Match {
				t.Errorf("differences %q, want a match: %t", why, c.Match)
			}
		})
	}
	if run < 30 {
		t.Errorf("only %d cases", run)
	}
}
