package host

import (
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/secret"
)

// TestUnmasked checks that each secret that is too short to be masked is told once, and that no other is.
func TestUnmasked(t *testing.T) {
	t.Setenv("MAYFLY_TEST_SECRET", "abc")
	t.Setenv("MAYFLY_TEST_VALUE", "abcd")
	flags, err := secret.ParseFlags([]string{"pin=env:MAYFLY_TEST_SECRET", "token=env:MAYFLY_TEST_VALUE"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	source := &noticing{Source: flags, unmasked: func(name string) { told = append(told, name) }, told: map[string]bool{}}
	for _, name := range []string{"pin", "token", "pin", "none"} {
		if value, err := source.Get(t.Context(), name); (err == nil) != (name != "none") {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
	if !slices.Equal(told, []string{"pin"}) {
		t.Errorf("got %q, want pin, once", told)
	}
}
