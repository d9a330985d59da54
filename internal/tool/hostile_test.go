package tool

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

func numbered(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(item, i)
	}
	return strings.Join(items, ", ")
}

// TestHostileDefinitions: a hostile file is refused in little time and memory (attack S05).
func TestHostileDefinitions(t *testing.T) {
	size := int(shape.SmallBounds().FileSize)
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	tooMany := "too many parts"
	tests := []struct{ name, text, want string }{
		{"alias bomb", shapetest.Bomb(20), "more than 10000 values"},
		{"alias bomb of many", "x: &x [" + strings.Repeat("a,", 900) + "]\ny: [" + strings.Repeat("*x, ", 50) + "]", "more than 10000 values"},
		{"alias to itself", "a: &a [*a]", "nested more than 64 deep"},
		{"alias to its parent", "a: &a {b: {c: *a}}", "nested more than 64 deep"},
		{"depth", strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested more than 64 deep"},
		{"depth of blocks", strings.Repeat("- ", 100) + "a", "nested more than 64 deep"},
		{"depth of the parser", strings.Repeat("[", 30000), "not valid YAML"},
		{"open brackets", fill("", "[", ""), tooMany},
		{"many values", fill("[", "a,", "]"), tooMany},
		{"many values within the parts", "[" + strings.Repeat("a,", 20000) + "]", "more than 10000 values"},
		{"many keys", fill("", "a: ", ""), tooMany},
		{"many lines", fill("", "\n", ""), tooMany},
		{"many comments", fill("", "#\n", ""), tooMany},
		{"many blocks", fill("", "a: |\n", ""), tooMany},
		{"many documents", fill("", "---\n", ""), tooMany},
		{"hidden by a double quote", fill("[ \"\nkey: |\n  \", ", "a,", "]"), tooMany},
		{"hidden by a single quote", fill("- 'a\nkey: |\n  ', [", "a,", "]"), tooMany},
		{"hidden by a plain quote in a flow", fill("{b \"c, \"e\nkey: |\n  \", ", "a,", "}"), tooMany},
		{"hidden by plain quotes around a comma", fill("{a \", b: \"}\nkey: |\n  \", ", "a,", "}"), tooMany},
		{"hidden by an odd key", fill("a b: \"x\nkey: |\n  \", [", "a,", "]"), tooMany},
		{"hidden by a tab", fill("a:\t\"x\nkey: |\n  \", [", "a,", "]"), tooMany},
		{"hidden by a carriage return", fill("key: |\n  a\rother: [", "a,", "]"), tooMany},
		{"hidden by a line separator", fill("key: |\n  a\u2028other: [", "a,", "]"), tooMany},
		{"hidden by an anchor", fill("a: &x \"\nkey: |\n  \", [", "a,", "]"), tooMany},
		{"hidden by a comment", fill("key: a # |\n  b: [", "a,", "]"), tooMany},
		{"beside a block", fill("key: |\n  a\nother: [", "a,", "]"), tooMany},
		{"one long key", fill("", "k", ": 1"), "not valid YAML"},
		{"one long alias", fill("image: *", "x", ""), "not valid YAML"},
		{"many aliases in a script", fill("image: a\nscript: |\n  ", ",*x", "\nname: *y"), "unknown anchor 'y'"},
		{"many empty keys in a long line", fill("image: a\nlabels: {"+strings.Repeat("a: , ", 4900)+"b: '", "#", "'}\n"), "is given twice"},
		{"one long name", fill("name: ", "é", ""), "is not a name"},
		{"one long tag", fill("image: !", "x", " b"), "tag"},
		{"one long string", fill("image: \"", "\\n", "\""), "too long for an image reference"},
		{"long unknown keys", fill(strings.Repeat("k", 1000)+": 1\n", "\n ", "\nx"), tooMany},
		{"integers with large exponents", "image: a\nargs: [{name: a, type: integer, options: [" + strings.Repeat("1e-999999, ", 9900) + "]}]", "must be an integer"},
		{"many options", "image: a\nargs: [{name: a, type: array, options: [" + numbered(4900, "[%d]") + ", [1]]}]", "is given twice"},
		{"one long integer", fill("image: a\nargs: [{name: a, type: integer, default: !!int +", "1", "}]"), "is too large"},
		{"too large", strings.Repeat("#", size+1), "larger than 1048576 bytes"},
		{"UTF-16", "\xff\xfei\x00m\x00", "not UTF-8"},
		{"binary", "image: a\x00", "NUL byte"},
	}
	parse := func(text string) error { _, err := Parse("t.yaml", []byte(text)); return err }
	most := shapetest.LongestRefusal(t, shape.SmallBounds().FileSize, parse)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shapetest.WantRefusal(t, func() error { return parse(tt.text) }, tt.want, most)
		})
	}
}
