package secret

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// canary has a character that each encoding changes.
const canary = `p@ss/w0rd+<"é'&\ ~x`

func jsonOf(t *testing.T, v string, escapeHTML bool) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.Trim(b.String(), "\"\n")
}

// lowerHexDigits turns %2F into %2f.
func lowerHexDigits(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '%' {
			copy(b[i:], bytes.ToLower(b[i:i+3]))
		}
	}
	return string(b)
}

// encodings returns the canary as programs print it: encoded by the standard library, or copied from the programs' output.
func encodings(t *testing.T) map[string]string {
	return map[string]string{
		"plain":              canary,
		"base64":             base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64 unpadded":    base64.RawStdEncoding.EncodeToString([]byte(canary)),
		"base64url":          base64.URLEncoding.EncodeToString([]byte(canary)),
		"base64url unpadded": base64.RawURLEncoding.EncodeToString([]byte(canary)),
		"hex":                hex.EncodeToString([]byte(canary)),
		"HEX":                strings.ToUpper(hex.EncodeToString([]byte(canary))),
		"query":              url.QueryEscape(canary),
		"query lower":        lowerHexDigits(url.QueryEscape(canary)),
		"path":               url.PathEscape(canary),
		"path lower":         lowerHexDigits(url.PathEscape(canary)),
		"strict":             strings.ReplaceAll(url.QueryEscape(canary), "+", "%20"),
		"encodeURIComponent": `p%40ss%2Fw0rd%2B%3C%22%C3%A9'%26%5C%20~x`,
		"encodeURI":          `p@ss/w0rd+%3C%22%C3%A9'&%5C%20~x`,
		"URLSearchParams":    `p%40ss%2Fw0rd%2B%3C%22%C3%A9%27%26%5C+%7Ex`,
		"python quote":       `p%40ss/w0rd%2B%3C%22%C3%A9%27%26%5C%20~x`,
		"go json":            jsonOf(t, canary, true),
		"json":               jsonOf(t, canary, false),
		"python json":        `p@ss/w0rd+<\"\u00e9'&\\ ~x`,
		"php json":           `p@ss\/w0rd+<\"\u00e9'&\\ ~x`,
		"json slash":         `p@ss\/w0rd+<\"é'&\\ ~x`,
		"json upper":         `p@ss/w0rd+<\"\u00E9'&\\ ~x`,
		"html":               html.EscapeString(canary),
		"python html":        `p@ss/w0rd+&lt;&quot;é&#x27;&amp;\ ~x`,
		"php html":           `p@ss/w0rd+&lt;&quot;é&#39;&amp;\ ~x`,
		"sh":                 `p@ss/w0rd+<"é'\''&\ ~x`,
		"printf %q":          `p@ss/w0rd+\<\"é\'\&\\\ \~x`,
	}
}

func TestEveryEncodingIsMasked(t *testing.T) {
	r := NewRedactor([]byte(canary))
	for name, encoded := range encodings(t) {
		t.Run(name, func(t *testing.T) {
			for _, frame := range []string{"%s", "token=%s\n", "[%s]", "%[1]s %[1]s"} {
				in := fmt.Sprintf(frame, encoded)
				want := strings.ReplaceAll(in, encoded, Mask)
				if got := r.String(in); got != want {
					t.Errorf("%q became %q, want %q", in, got, want)
				}
				if got := byteByByte(t, r, in); got != want {
					t.Errorf("byte by byte, %q became %q, want %q", in, got, want)
				}
			}
		})
	}
}

// TestEncodingsOfTheirOwn checks encodings with values that no other encoding masks too: each is one window, and large values have few
// encodings.
func TestEncodingsOfTheirOwn(t *testing.T) {
	if n := len(encoders()); n > maxEncoders {
		t.Fatalf("there are %d encoders, but a set holds only %d", n, maxEncoders)
	}
	medium := strings.Repeat("0123456789abcdef", mediumValue/16) + "\n" + `a/b "<'@ z`
	large := strings.Repeat("0123456789abcdef", largeValue/16) + "\n" + `a/b "<'@ z`
	for _, tc := range []struct{ name, value, encoded string }{
		{"RFC 3986", `a/b '@`, `a%2Fb%20%27%40`},
		{"go json of a line separator", "é\u2028cd", `é\u2028cd`},
		{"go json of a paragraph separator", "é\u2029cd", `é\u2029cd`},
		{"python json beyond 16 bits", "ab\U0001f511cd", `ab\ud83d\udd11cd`},
		{"shell quotes of a medium value", medium, `a/b "<'\''@ z`},
		{"Python's quotes of a medium value", medium, `a/b "<\'@ z`},
		{"Go's %q", "é\"\x1bcd", `é\"\x1bcd`},
		{"Python's repr", "é\"\x1bcd", `é"\x1bcd`},
		{"Flask's tojson", `a'é<cdef`, `a\u0027\u00e9\u003ccdef`},
		{"JSON of .NET", `a'é<+c"ef`, `a\u0027\u00E9\u003C\u002Bc\u0022ef`},
		{"JSON in ASCII with HTML's signs", `aé<cdef`, `a\u00e9\u003ccdef`},
		{"base32 in lower case", "hunter2-canary", "nb2w45dfoizc2y3bnzqxe6i"},
		{"every byte of a URL", "hunter2-can", "%68%75%6e%74%65%72%32%2d%63%61%6e"},
		{"every byte of a URL, upper", "hunter2-can", "%68%75%6E%74%65%72%32%2D%63%61%6E"},
		{"every byte of a URL, twice, if other encoders make it once", "<<<<", "%25%33%63%25%33%63%25%33%63%25%33%63"},
		{"shell quotes in JSON", `a'é<cdef`, `a'\"'\"'é<cdef`},
		{"Perl's quotemeta", "a%b=c\x02d", "a\\%b\\=c\\\x02d"},
		{"json of a large value", large, `a/b \"<'@ z`},
		{"go json of a large value", large, `a/b \"\u003c'@ z`},
		{"RFC 3986 of a large value", large, `a%2Fb%20%22%3C%27%40%20z`},
		{"query of a large value", large, `a%2Fb+%22%3C%27%40+z`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := "x " + tc.encoded + "\n"
			if got, want := byteByByte(t, NewRedactor([]byte(tc.value)), in), "x "+Mask+"\n"; got != want {
				t.Errorf("%q became %q, want %q", in, got, want)
			}
		})
	}
}

// TestAPartIsEnough prints a part of a long value: less than a window stays readable, at the beginning.
func TestAPartIsEnough(t *testing.T) {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "%02x:", i*i%251)
	}
	value := b.String()
	r := NewRedactor([]byte(value))
	for name, c := range map[string]struct {
		text   string
		window int
	}{
		"plain":  {value, maxWindow},
		"base64": {base64.StdEncoding.EncodeToString([]byte(value)), encodedWindow},
		"hex":    {hex.EncodeToString([]byte(value)), encodedWindow},
	} {
		for from := range c.window {
			in := c.text[c.window+from : len(c.text)/2+from]
			if got := byteByByte(t, r, in); !strings.HasSuffix(got, Mask) || len(got) >= c.window+len(Mask) {
				t.Errorf("%s: %q became %q", name, in, got)
			}
		}
	}
}

// write returns the output of a Writer that gets text in pieces of n bytes.
func write(t testing.TB, r *Redactor, text string, n int) string {
	t.Helper()
	var out bytes.Buffer
	w := r.Writer(&out)
	for piece := range slices.Chunk([]byte(text), n) {
		if k, err := w.Write(piece); err != nil || k != len(piece) {
			t.Fatalf("Write = %d, %v", k, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func byteByByte(t testing.TB, r *Redactor, text string) string {
	t.Helper()
	return write(t, r, text, 1)
}

// knows reports whether decoding text as base64 reveals 4 consecutive bytes of the value.
func knows(text, value string) bool {
	text = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(text)
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return r >= 0x80 || !isAlnum(byte(r)) && r != '+' && r != '/' }) {
		for shift := range 4 {
			part := run[min(shift, len(run)):]
			raw, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4])
			for i := 0; i+4 <= len(value); i++ {
				if bytes.Contains(raw, []byte(value[i:i+4])) {
					return true
				}
			}
		}
	}
	return false
}

func TestBase64InsideSomethingLarger(t *testing.T) {
	for _, value := range []string{"s3cr", "hunter2-canary", canary, strings.Repeat("0123456789abcdef", 20)} {
		r := NewRedactor([]byte(value))
		for before := range 5 {
			for after := range 5 {
				for name, enc := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.URLEncoding} {
					whole := "user:xyz"[:before] + value + "\n:uvwxyz"[:after]
					in := "auth " + enc.EncodeToString([]byte(whole)) + " end"
					got := byteByByte(t, r, in)
					if knows(got, value) || !strings.Contains(got, Mask) {
						t.Errorf("%s of %q: %q became %q", name, whole, in, got)
					}
					if !strings.HasPrefix(got, "auth ") || !strings.HasSuffix(got, " end") {
						t.Errorf("%q became %q: the text around the secret is lost", in, got)
					}
					// The characters that have only bits of other text stay.
					if extra := len(got) - len("auth  end") - len(Mask); extra > before*4/3+after*4/3+4 {
						t.Errorf("%q became %q: too much stays readable", in, got)
					}
				}
			}
		}
	}
}

func TestBase32InsideSomethingLarger(t *testing.T) {
	r := NewRedactor([]byte("hunter2-canary"))
	for before := range 6 {
		for after := range 6 {
			in := "otp " + base32.StdEncoding.EncodeToString([]byte("user:"[:before%6]+"hunter2-canary"+":uvwx"[:after])) + " end"
			got := byteByByte(t, r, in)
			prefix, suffix, ok := strings.Cut(got, Mask)
			// The characters that have only bits of other text stay. Padding right after the secret is masked.
			if !ok || len(prefix) > len("otp ")+before*8/5+1 || len(suffix) > len(" end")+after*8/5+8 || after == 0 && suffix != " end" {
				t.Errorf("%q became %q", in, got)
			}
		}
	}
}

const pemKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZab
Zm9v
-----END PRIVATE KEY-----
`

// wrapped splits text into lines of width characters, each with an indent.
func wrapped(text string, width int, indent string) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(text), width) {
		b.WriteString(indent + string(line) + "\n")
	}
	return b.String()
}

func TestLines(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(pemKey), "\n")
	r := NewRedactor([]byte(pemKey))
	encoded := base64.StdEncoding.EncodeToString([]byte(pemKey))
	for _, tc := range []struct{ name, in, want string }{
		{"one line", "key " + lines[1] + "\n", "key ***\n"},
		{"last line", "key " + lines[3] + "\n", "key ***\n"},
		{"a boundary is not a secret", lines[0] + "\n" + lines[4], lines[0] + "\n" + lines[4]},
		{"another key", lines[0] + "\nMC4CAQAwBQYDK2VwBCIEIAAAAA", lines[0] + "\nMC4CAQAwBQYDK2VwBCIEIAAAAA"},
		{"as it is", pemKey, lines[0] + "\n***\n" + lines[4] + "\n"},
		{"CRLF", strings.ReplaceAll(pemKey, "\n", "\r\n"), lines[0] + "\r\n***\r\n***\r\n***\r\n" + lines[4] + "\r\n"},
		{"indented", "  " + strings.ReplaceAll(pemKey, "\n", "\n  "), "  " + lines[0] + "\n  ***\n  ***\n  ***\n  " + lines[4] + "\n  "},
		{"json", jsonOf(t, pemKey, true), lines[0] + `\n***\n` + lines[4] + `\n`},
		{"in one line", strings.ReplaceAll(pemKey, "\n", ""), lines[0] + Mask + lines[4]},
		{"reversed", lines[3] + "\n" + lines[2] + "\n" + lines[1], "***\n***\n***"},
		{"a part of a line", lines[2][:40], Mask},
		{"the end of a line", lines[2][20:], Mask},
		{"a line in base64", base64.StdEncoding.EncodeToString([]byte(lines[2])), Mask},
		{"a line in hex", hex.EncodeToString([]byte(lines[2])), Mask},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "the end of a line" {
				if got := r.String(tc.in); !strings.HasSuffix(got, Mask) || len(got) > 32+len(Mask) {
					t.Errorf("%q became %q", tc.in, got)
				}
				return
			}
			if got := byteByByte(t, r, tc.in); got != tc.want {
				t.Errorf("%q became %q, want %q", tc.in, got, tc.want)
			}
		})
	}
	for _, width := range []int{19, 60, 64, 76} {
		for _, end := range []string{"\n", "\r\n"} {
			for name, text := range map[string]string{"base64": encoded, "hex": hex.EncodeToString([]byte(pemKey))} {
				in := strings.ReplaceAll(wrapped(text, width, "    "), "\n", end)
				got := byteByByte(t, r, in)
				// The boundaries stay readable, 28 and 26 bytes with line breaks, and a few characters next to them.
				flat := strings.NewReplacer("\r", "", "\n", "", " ", "").Replace(got)
				from, to, ok := strings.Cut(flat, Mask)
				if perByte := float64(len(text)) / float64(len(pemKey)); !ok || float64(len(from)) > 28*perByte+8 || float64(len(to)) > 27*perByte+8 || !strings.HasSuffix(got, end) {
					t.Errorf("%s in lines of %d became %q", name, width, got)
				}
				if name == "base64" && knows(got, strings.Join(lines[1:4], "\n")) {
					t.Errorf("%s in lines of %d became %q", name, width, got)
				}
			}
		}
	}
}

func TestWhatIsMaskedOfAValue(t *testing.T) {
	config := "apiVersion: v1\nusers:\n- name: admin-user\n  user:\n    token: eyJhbGciOiJSUzI1NiIsImtpZCI6\n    x: yz\n{\n"
	for _, tc := range []struct{ name, value, in, want string }{
		{"empty", "", "nothing to hide", "nothing to hide"},
		{"white space", " \n\t ", "a \n\t b", "a \n\t b"},
		{"one letter", "e", "every letter", "every letter"},
		{"three letters", "abc", "abc", "abc"},
		{"four letters", "abcd", "abc abcd", "abc ***"},
		{"base64 of base64 of four letters", "abcd", b64(b64("abcd")), b64(b64("abcd"))},
		{"line break at the end", "hunter2\n", "hunter2\nhunter2 ", "***\n*** "},
		{"CRLF at the end", "hunter2\r\n", "<hunter2>", "<***>"},
		{"spaces around", "  hunter2  ", "hunter2", "***"},
		{"short lines together", "ab\ncd\nef", "ab\ncd\nef ab", "*** ab"},
		{"a short pair", "abcdef=xy\nsecond", "abcdef=xy abcdef", "*** abcdef"},
		{"two short lines", "user\npass1", "pass1 user", "*** ***"},
		{"form", config, "apiVersion: v1\nusers:\n{\n", "apiVersion: v1\nusers:\n{\n"},
		{"a name", config, "it is - name: admin-user", "it is - name: admin-user"},
		{"a line", "first line\nsecond: line of it", "it is second: line of it", "it is ***"},
		{"a pair's value", config, "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6.", "Bearer ***."},
		{"a pair's value in JSON", `{` + "\n" + `"key": "0123456789abcdef",` + "\n" + `}`, "0123456789abcdef,", "***,"},
		{"a short pair's value", config, "admin-user", "admin-user"},
		{"binary", "\x00\xff\x80\x01", "\x00\xff\x80\x01\x00", "***\x00"},
		{"non-ASCII", "pässwörd", "x pässwörd y", "x *** y"},
		{"an upper-case secret", "ABCDEFG", "abcdefg ABCDEFG", "abcdefg ***"},
		{"almost the value", "hunter2-canary", "hunter2-canarz unter2-canary", "hunter2-canarz unter2-canary"},
		{"a line break at a window's end", strings.Repeat("x1", 15) + ";\nsecond line", strings.Repeat("x1", 15) + ";\nlog", "***\nlog"},
		{"twice in a row", "hunter2", "hunter2hunter2", "***"},
		{"overlapping itself", "abab", "xababababy", "x***y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewRedactor([]byte(tc.value))
			if got := r.String(tc.in); got != tc.want {
				t.Errorf("%q became %q, want %q", tc.in, got, tc.want)
			}
			if got := byteByByte(t, r, tc.in); got != tc.want {
				t.Errorf("byte by byte, %q became %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestSeveralSecrets(t *testing.T) {
	for _, tc := range []struct {
		values   []string
		in, want string
	}{
		{[]string{"abcdef", "defghi"}, "<abcdefghi>", "<***>"},            // overlap
		{[]string{"abcdef", "cdef", "bcd"}, "<abcdef cdef>", "<*** ***>"}, // one in another
		{[]string{"abcd", "abcdefgh"}, "abcd abcdefgh abcdefg", "*** *** ***efg"},
		{[]string{"abcd", "efgh"}, "abcdefgh", "***"}, // side by side
		{[]string{"same", "same"}, "same", "***"},
		{[]string{"", "x", "secret1"}, "x secret1", "x ***"},
	} {
		var values [][]byte
		for _, v := range tc.values {
			values = append(values, []byte(v))
		}
		r := NewRedactor(values...)
		if got := byteByByte(t, r, tc.in); got != tc.want {
			t.Errorf("%q: %q became %q, want %q", tc.values, tc.in, got, tc.want)
		}
	}
}

func TestMap(t *testing.T) {
	r := NewRedactor([]byte("hunter2"))
	got := r.Map(map[string]string{"a": "x hunter2", "b": "fine", "hunter2": "a name"})
	if got["a"] != "x ***" || got["b"] != "fine" || got["***"] != "a name" || len(got) != 3 {
		t.Errorf("Map = %v", got)
	}
	r = NewRedactor([]byte("hunter2"), []byte("hunter3"))
	same := map[string]string{"hunter2": "a", "hunter3": "b", "*** (2)": "c", "***": "d"}
	if got, want := r.Map(same), map[string]string{"***": "d", "*** (2)": "c", "*** (3)": "a", "*** (4)": "b"}; !maps.Equal(got, want) {
		t.Errorf("Map = %v, want %v", got, want)
	}
	if r.Map(nil) != nil {
		t.Error("nil became a map")
	}
}

// TestTheTestsCanFail breaks the redactor, and checks that the tests above would fail.
func TestTheTestsCanFail(t *testing.T) {
	without := func(drop func(w window, text []byte) bool) *Redactor {
		b := &builder{}
		b.add([]byte(canary))
		ix := b.build()
		kept := slices.DeleteFunc(ix.windows, func(w window) bool { return drop(w, ix.bytes(&w)) })
		return &Redactor{&index{ix.array, ix.ends, kept, ix.four, ix.full}}
	}
	all := encodings(t)
	for name, tc := range map[string]struct {
		drop    func(w window, text []byte) bool
		leaking []string
	}{
		"nothing":        {func(window, []byte) bool { return false }, nil},
		"hex and base64": {func(w window, _ []byte) bool { return w.kind != plainText }, []string{"hex", "HEX", "base64", "base64url"}},
		"base64": {func(w window, text []byte) bool {
			return w.kind != plainText && bytes.ContainsAny(text, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ")
		}, []string{"base64", "base64url"}},
		"URLs":  {func(w window, text []byte) bool { return bytes.Contains(text, []byte("%")) }, []string{"query", "path", "encodeURIComponent"}},
		"JSON":  {func(w window, text []byte) bool { return bytes.Contains(text, []byte(`\"`)) }, []string{"json", "php json"}},
		"plain": {func(w window, text []byte) bool { return string(text) == canary }, []string{"plain"}},
	} {
		r := without(tc.drop)
		for _, encoding := range tc.leaking {
			if got := r.String(all[encoding]); got == Mask {
				t.Errorf("without %s, %s is still masked", name, encoding)
			}
		}
		if tc.leaking == nil {
			for encoding, text := range all {
				if got := r.String(text); got != Mask {
					t.Errorf("%s became %q", encoding, got)
				}
			}
		}
	}
	if !knows(base64.StdEncoding.EncodeToString([]byte("x"+canary)), canary) || knows("aGVsbG8gd29ybGQ", canary) {
		t.Error("knows gives the wrong answer")
	}
}
