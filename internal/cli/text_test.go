package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// M04: what an image says of itself reaches a terminal as text, and a program as it is.
func TestPrintedJSONSteersNoTerminal(t *testing.T) {
	said := map[string]string{"label": "a\x1b[2J\u009b1A\x7f\u202e\U000e0041 ünïcode\n\u2028", "\u0085": "<&>"}
	for name, printed := range map[string]func(io.Writer, any) error{"for people": printJSON, "a line": printJSONLine} {
		var b bytes.Buffer
		if err := printed(&b, said); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || !strings.Contains(b.String(), "ünïcode") {
			t.Errorf("%s: %q", name, b.String())
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || !reflect.DeepEqual(back, said) {
			t.Errorf("%s: %q (%v)", name, back, err)
		}
	}
}

// A cell comes from other people's tokens and requests: it may not add a cell or a row to its table.
func TestACellStaysInItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"ü b": "ü b", "a\nb": "a\ufffdb", "a\tb": "a\ufffdb", "a\vb\fc": "a\ufffdb\ufffdc", "a\u2028b\u0085c": "a\ufffdb\ufffdc",
		"secrets/prod\rsecrets/ok": "secrets/prod\ufffdsecrets/ok", "secrets/\x1b[prod": "secrets/\ufffd[prod", "\x1b[2Ja": "\ufffd[2Ja",
		strings.Repeat("x", 5000): strings.Repeat("x", 5000),
	} {
		if got := cell(text); got != want {
			t.Errorf("cell(%q) = %q, want %q", text, got, want)
		}
	}
}
