package shape

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// This file has the shapes of texts, and checks for texts. A check returns what is wrong with a text and a hint; both are
// empty if nothing is wrong.

// Text returns the shape of a string that check accepts, if check isn't nil. extra is added to its schema. check returns what
// is wrong ("is not a name") and a hint.
func Text(extra Schema, check func(string) (wrong, hint string)) Shape[string] {
	sch := Schema{"type": "string"}
	maps.Copy(sch, extra)
	return Shape[string]{Schema: sch, Read: func(d *Decoder, n *yaml.Node, label string) (string, bool) {
		n = Resolve(n)
		// Only YAML 1.1 reads a plain date as something other than text.
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
			hint := pairHint(n)
			if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
				hint = quoteHint(n)
			}
			d.Report(n, fmt.Sprintf("%s must be text, not %s", label, Describe(n)), hint)
			return "", false
		}
		return n.Value, d.Accept(n, label, n.Value, check)
	}}
}

// Loose returns the shape of text that may also be a number or a boolean, which is kept as it is written: "1.10" stays 1.10.
func Loose(check func(string) (wrong, hint string)) Shape[string] {
	sch := Schema{"type": []string{"string", "number", "boolean"}}
	return Shape[string]{Schema: sch, Read: func(d *Decoder, n *yaml.Node, label string) (string, bool) {
		n = Resolve(n)
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			d.Report(n, fmt.Sprintf("%s must be text or a number, not %s", label, Describe(n)), pairHint(n))
			return "", false
		}
		return n.Value, d.Accept(n, label, n.Value, check)
	}}
}

// pairHint returns a hint for a text that is a mapping because it contains ": ".
func pairHint(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Kind != yaml.ScalarNode || n.Content[1].Kind != yaml.ScalarNode {
		return ""
	}
	return "if it is text, put it in quotes: " + singleQuoted(n.Content[0].Value+": "+n.Content[1].Value)
}

// Accept applies a check to a value and reports its problem, if any. It returns whether the value is fine.
func (d *Decoder) Accept(n *yaml.Node, label, value string, check func(string) (wrong, hint string)) bool {
	if check == nil {
		return true
	}
	wrong, hint := check(value)
	if wrong == "" {
		return true
	}
	d.Report(n, fmt.Sprintf("%s %s %s", label, Quote(value), wrong), hint)
	return false
}

// Choice returns the shape of a text that is one of the given words.
func Choice(what string, words ...string) Shape[string] {
	s := Loose(func(s string) (string, string) {
		if slices.Contains(words, s) {
			return "", ""
		}
		return "is not " + Article(what), DidYouMean(s, words, "write ")
	})
	s.Schema = Schema{"enum": words}
	return s
}

// IsAlnum reports whether a byte is an ASCII letter or digit.
func IsAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// MadeOf reports whether a text has only ASCII letters, digits and the given punctuation.
func MadeOf(s, punctuation string) bool {
	for i := range len(s) {
		if !IsAlnum(s[i]) && strings.IndexByte(punctuation, s[i]) < 0 {
			return false
		}
	}
	return true
}

// Printable accepts text without control characters except line breaks and tabs: the texts of a definition are printed on terminals.
func Printable(s string) (wrong, hint string) {
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return "contains a control character", ""
		}
	}
	return "", ""
}

// Quote quotes text for a message, shortened so that the message stays one readable line.
func Quote(s string) string { return strconv.Quote(Brief(s)) }

// Brief shortens text that comes from a file, since a message must not grow with it.
func Brief(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// quoteHint says how to turn a scalar into text.
func quoteHint(n *yaml.Node) string {
	if Brief(n.Value) != n.Value {
		return "put it in quotes"
	}
	return "put it in quotes: " + strconv.Quote(n.Value)
}

// Article puts "a" or "an" before a noun.
func Article(noun string) string {
	if strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}

// InsideFolder returns a check for slash-separated paths whose text stays inside a folder. It doesn't follow symbolic links:
// whoever opens the file must open it through the folder, as os.Root does. owner names whose folder it is, such as "the
// tool", and examples name files in it, for messages.
func InsideFolder(owner string, examples ...string) func(string) (wrong, hint string) {
	folder := owner + "'s folder"
	advice, some := "write a path inside "+folder, "name a file or a folder in it"
	if len(examples) > 0 {
		advice += ", such as " + Listing(examples)
		some += ", such as " + Listing(examples)
	}
	return func(s string) (wrong, hint string) {
		switch {
		case s == "" || len(s) > 4095 || strings.ContainsFunc(s, unicode.IsControl):
			return "is not a path", advice
		case strings.Contains(s, `\`):
			return `contains a "\"`, `separate folders with "/"`
		case s[0] == '/' || len(s) > 1 && s[1] == ':':
			return "is an absolute path", advice
		case s == ".." || strings.HasPrefix(s, "../") || strings.Contains(s, "/../") || strings.HasSuffix(s, "/.."):
			return "leaves " + folder, advice
		case s == ".":
			return "is " + owner + "'s whole folder", some
		}
		switch clean := path.Clean(s); clean {
		case s:
			return "", ""
		case ".":
			return "is not a clean path", advice
		default:
			return "is not a clean path", "write " + Quote(clean)
		}
	}
}
