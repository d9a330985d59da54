package shape

import (
	"errors"
	"strings"
	"testing"
)

// TestDepth gives values that are nested as deep as they may be, and deeper.
func TestDepth(t *testing.T) {
	list := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	nested := func(depth int) any {
		var v any = "x"
		for i := range depth {
			if v = []any{v}; i%2 == 1 {
				v = map[string]any{"k": v.([]any)[0]}
			}
		}
		return v
	}
	for depth, want := range map[int]error{1: nil, maxDepth: nil, maxDepth + 1: errTooDeep, 5000: errTooDeep} {
		if _, err := ValueOf(TypeArray, list(depth)); !errors.Is(err, want) {
			t.Errorf("text, %d deep: %v", depth, err)
		}
		if _, err := TextOf(nested(depth)); !errors.Is(err, want) {
			t.Errorf("a value, %d deep: %v", depth, err)
		}
	}
}
