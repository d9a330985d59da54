package suite

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzJSONLength(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\n\t", `"\`, "ü€😀", "\xff\xfe", "\u2028\u2029", "a\xc3", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got, is := JSONLength(s), b.Len()-len("\"\"\n"); got < is || got > 6*len(s) {
			t.Errorf("JSONLength(%q) = %d, want at least %d", s, got, is)
		}
	})
}
