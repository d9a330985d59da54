package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestI23_TheVariableIsRefusedByEveryCommand: the variable of the user namespace means nothing outside of it.
func TestI23_TheVariableIsRefusedByEveryCommand(t *testing.T) {
	t.Setenv("MAYFLY_HOME", t.TempDir()) // for where it isn't refused
	t.Setenv("MAYFLY_ROOTLESS", "1000:65536:")
	all := [][]string{{}, {"--version"}, {"--help"}, {"run", "--help"}, {"doctor", "--delegate", "no-such-user"}, {"no-such-command"}}
	var add func(c *cobra.Command, path []string)
	add = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			at := append(slices.Clone(path), sub.Name())
			all = append(all, at)
			add(sub, at)
		}
	}
	add(newRoot(streams{}), nil)
	if len(all) < 20 {
		t.Fatalf("there are only %q", all)
	}
	for _, args := range all {
		var out, errOut bytes.Buffer
		if status := Main(t.Context(), args, strings.NewReader(""), &out, &errOut); status != statusFailure || out.Len() > 0 || !strings.Contains(errOut.String(), "unset MAYFLY_ROOTLESS") {
			t.Errorf("mayfly %q: status %d, %q, %q", args, status, &out, &errOut)
		}
	}
}
