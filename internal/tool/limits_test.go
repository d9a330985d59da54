package tool

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bomb nests aliases so that a few hundred bytes stand for 9^levels values.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < levels; i++ {
		ref := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(ref+", ", 9), ", "))
	}
	return b.String()
}

// refusal is how long the refusal of a definition takes at most: fifty times as long as a harmless one of the most bytes
// is read on this machine, which is a second on one of ours. The least of several counts, as another program may be busy.
func refusal(t *testing.T) time.Duration {
	t.Helper()
	text := []byte("image: a\nscript: |\n" + strings.Repeat("  a, b: [c] - {d}\n", int(smallBounds().FileSize)/18-10))
	least := time.Hour
	for range 5 {
		start := time.Now()
		if _, err := Parse("t.yaml", text); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(start))
	}
	return 50 * least
}

// wantRefusal has a text refused in little time and 64 MB.
func wantRefusal(t *testing.T, parse func() error, want string, most time.Duration) {
	t.Helper()
	var took time.Duration
	for attempt := 0; attempt == 0 || took > most && attempt < 10; attempt++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := parse()
		took = time.Since(start)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %.200v, want an error with %q", err, want)
		}
		if len(err.Error()) > 20_000 {
			t.Fatalf("the message has %d bytes", len(err.Error()))
		}
		// All that is allocated, freed or not: more than what is ever held at once.
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
			t.Fatalf("allocated %d MB", got>>20)
		}
	}
	if took > most {
		t.Errorf("took %s, more than %s, each of ten times", took, most)
	}
}

func numbered(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(item, i)
	}
	return strings.Join(items, ", ")
}

// TestHostileDefinitions is attack S05.
func TestHostileDefinitions(t *testing.T) {
	size := int(smallBounds().FileSize)
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	tooMany := "too many parts"
	tests := []struct{ name, text, want string }{
		{"alias bomb", bomb(20), "more than 10000 values"},
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
	most := refusal(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusal(t, func() error { _, err := Parse("t.yaml", []byte(tt.text)); return err }, tt.want, most)
		})
	}
}

// TestLongScripts holds the limits to letting long but harmless definitions through.
func TestLongScripts(t *testing.T) {
	script := strings.Repeat("  a, b: [c] - {d}\n", 50_000)
	heads := []string{
		"script: |\n",
		"description: say \"hi\"\nscript: |-\n",
		"# comment, with [brackets\nimage: 'a'\nnetwork: [{host: \"*.slack.com\", ports: [443]}]\nscript: >  # folded\n",
		"environment:\n  - A=\"x y\"\n  - B='c'\nscript: |2\n",
		"labels: {a: \"b\", c: 'd, e'}\ncommand:\n  - \"-x\"\n  - --field=a,b\nenvironment:\n  A:\n  B: |\n    text\nlabel:\nscript: |+\n",
	}
	for _, head := range heads {
		if n := separators([]byte(head + script)); n > 100 {
			t.Errorf("%q: %d separators counted; the script was not skipped", head, n)
		}
	}
	if _, err := Parse("t.yaml", []byte("image: a\nscript: |\n"+script+"timeout: 5m\n")); err != nil {
		t.Error(err)
	}
}
