package textsafe

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestForms(t *testing.T) {
	const steers = "a\x1b[2J\u009b1A\x7f\u202e\U000e0041\u2028\xff"
	for _, c := range []struct{ name, got, want string }{
		{"replace", Replace("ü\tb\n"+steers, "\t"), "ü\tb\ufffda\ufffd[2J\ufffd1A\ufffd\ufffd\ufffd\ufffd\ufffd"},
		{"replace all", Replace("\t\n ", ""), "\ufffd\ufffd "},
		{"escape", Escape("ü'\t" + steers), `ü'\ta\x1b[2J\u009b1A\x7f\u202e\U000e0041\u2028` + "\ufffd"},
		{"a line", Line([]byte("a\x1b[31mred\x1b[0m\tb\x07")), "ared b"},
		{"a progress bar", Line([]byte("10%\r50%\r100%\r")), "100%"},
		{"an operating system command", Line([]byte("\x1b]0;title\x07x")), "itlex"},
		{"a long line", Line([]byte(strings.Repeat("x", 5000))), strings.Repeat("x", 4096)},
		{"nothing", Line(nil) + Escape("") + Replace("", ""), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestNothingSteers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s"))
		for name, got := range map[string]string{"Replace": Replace(s, ""), "Escape": Escape(s), "Line": Line([]byte(s))} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%s(%q) = %q", name, s, got)
			}
		}
	})
}
