package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandIsDescribed: each command has a summary and an example in its help, and a line in the README.
func TestEveryCommandIsDescribed(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := 0
	var describe func(c *cobra.Command)
	describe = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" { // which are cobra's
				continue
			}
			described++
			if sub.Short == "" || sub.Example == "" {
				t.Errorf("%s: its help has the summary %q and the example %q", sub.CommandPath(), sub.Short, sub.Example)
			}
			if c.Parent() == nil && !strings.Contains(string(readme), "`"+sub.CommandPath()) {
				t.Errorf("%s isn't in README.md", sub.CommandPath())
			}
			describe(sub)
		}
	}
	describe(newRoot(streams{}))
	if described < 20 {
		t.Errorf("only %d commands were found", described)
	}
}
