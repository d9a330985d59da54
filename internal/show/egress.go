package show

import (
	"fmt"
	"io"
	"slices"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// printEgress prints the rules for what a run reached, each once, as they are written in a tool's file.
func printEgress(w io.Writer, connections []engine.Connection) error {
	var rules []string
	for _, c := range connections {
		if c.Suggest != "" && !slices.Contains(rules, c.Suggest) {
			rules = append(rules, c.Suggest)
		}
	}
	slices.Sort(rules)
	text := "network:\n  egress:"
	if len(rules) == 0 {
		text += " []"
	}
	for _, r := range rules {
		text += "\n    - " + r
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
