package secret

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawValue draws a secret of few different characters, so that common prefixes and repetitions are likely.
func drawValue(t *rapid.T) []byte {
	letters := rapid.SampledFrom([]string{"ab", "ab <\n", "aA0/+\n", "abcdefghij:\n\r ", "\x00\xff\n\x80"}).Draw(t, "letters")
	size := rapid.SampledFrom([]int{3, 6, 12, 40, 200}).Draw(t, "size")
	return rapid.SliceOfN(rapid.SampledFrom([]byte(letters)), 0, size).Draw(t, "value")
}

// drawText draws a text of encodings of the values, whole or in part, wrapped or not, and other text.
func drawText(t *rapid.T, values [][]byte) []byte {
	var text []byte
	for range rapid.IntRange(0, 12).Draw(t, "pieces") {
		var piece []byte
		if len(values) > 0 {
			piece = slices.Clone(rapid.SampledFrom(values).Draw(t, "of"))
		}
		before := rapid.SampledFrom([]string{"", "x", "xy", "user:pass:"}).Draw(t, "before")
		switch rapid.IntRange(0, 8).Draw(t, "how") {
		case 0:
		case 1:
			piece = []byte(base64.StdEncoding.EncodeToString(append([]byte(before), piece...)))
		case 2:
			piece = []byte(base64.RawURLEncoding.EncodeToString(append([]byte(before), piece...)))
		case 3:
			piece = []byte(hex.EncodeToString(piece))
		case 4:
			piece = jsonStyle{html: true}.escape(nil, string(piece))
		case 5:
			piece = []byte(rapid.SampledFrom([]string{"\n", " ", "=", "ab", "log line\n", "\r\n  "}).Draw(t, "other"))
		case 6:
			style := rapid.SampledFrom(dumpStyles).Draw(t, "style")
			piece = []byte(style.dump(append([]byte(before), piece...)))
		case 7:
			piece = []byte(base64.StdEncoding.EncodeToString([]byte(before + base64.StdEncoding.EncodeToString(piece))))
		case 8:
			piece = []byte(base32.StdEncoding.EncodeToString(append([]byte(before), piece...)))
		}
		if rapid.Bool().Draw(t, "cut") && len(piece) > 0 {
			from := rapid.IntRange(0, len(piece)-1).Draw(t, "from")
			piece = piece[from:rapid.IntRange(from, len(piece)).Draw(t, "to")]
		}
		if rapid.Bool().Draw(t, "wrap") && len(piece) > 0 {
			width := rapid.IntRange(1, 80).Draw(t, "width")
			end := rapid.SampledFrom([]string{"\n", "\r\n", "\n    "}).Draw(t, "end")
			piece = bytes.Join(slices.Collect(slices.Chunk(piece, width)), []byte(end))
		}
		text = append(append(text, piece...), before...)
	}
	return text
}

func drawValues(t *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.Custom(drawValue), 0, 4).Draw(t, "values")
}

func TestWritesMayBeCutAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := drawValues(t)
		text := drawText(t, values)
		r := NewRedactor(values...)
		want := r.String(string(text))
		var out bytes.Buffer
		w := r.Writer(&out)
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if rapid.Bool().Draw(t, "one") {
				n = 1
			}
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("secrets %q: %q became %q in pieces, but %q as a whole", values, text, out.String(), want)
		}
	})
}

// TestAgainstTheObvious compares the Redactor with a simple one that marks every occurrence of every pattern. Each value is short
// enough for one window, in hexadecimal too, and its base64 can't occur in the texts.
func TestAgainstTheObvious(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.SampledFrom([]byte("ab<\"")), 1, 8)
		values := rapid.SliceOfN(value, 0, 4).Draw(t, "values")
		var patterns [][]byte
		for _, v := range values {
			if len(v) < MinMasked {
				continue
			}
			patterns = append(patterns, obvious(v)...)
		}
		piece := rapid.SampledFrom(append(slices.Clone(patterns), []byte("a"), []byte("b"), []byte("<"), []byte("6"), []byte("%3C"), []byte("...")))
		text := bytes.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "pieces"), nil)

		secret := make([]bool, len(text))
		for _, p := range patterns {
			for i := 0; i+len(p) <= len(text); i++ {
				if bytes.HasPrefix(text[i:], p) {
					for j := range p {
						secret[i+j] = true
					}
				}
			}
		}
		var want strings.Builder
		for i, c := range text {
			switch {
			case !secret[i]:
				want.WriteByte(c)
			case i == 0 || !secret[i-1]:
				want.WriteString(Mask)
			}
		}
		if got := NewRedactor(values...).String(string(text)); got != want.String() {
			t.Fatalf("secrets %q: %q became %q, want %q", values, text, got, want.String())
		}
	})
}

// obvious returns a short value in the encodings in which characters don't share bits, and those texts in the outer encodings.
func obvious(value []byte) [][]byte {
	list := encoders()
	made := make([][]byte, len(list))
	var forms [][]byte
	for i, e := range list {
		if e.bits == 0 && e.kind != dumpText {
			made[i], _ = e.encode(nil, value, []segment{{to: len(value)}})
			forms = append(forms, made[i])
		}
	}
	for i, inner := range made {
		for k, e := range list {
			if inner != nil && !bytes.Equal(inner, value) && (e.outer || i == k && e.kind == plainText) && e.bits == 0 && len(inner) >= minEncodedLine {
				form, _ := e.encode(nil, inner, []segment{{to: len(inner)}})
				forms = append(forms, form)
			}
		}
	}
	return forms
}

func TestFindAgainstTheObvious(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &builder{}
		letter := rapid.SampledFrom([]byte("ab"))
		for range rapid.IntRange(1, 20).Draw(t, "windows") {
			w := rapid.SliceOfN(letter, MinMasked, maxWindow).Draw(t, "window")
			b.array = append(b.array, w...)
			b.ends = append(b.ends, uint32(len(b.array)))
			b.addWindow(len(b.array)-len(w), len(w), plainText)
		}
		ix := b.build()
		d := rapid.SliceOfN(letter, 0, 40).Draw(t, "d")
		longest, wantMore := 0, false
		for i := range ix.windows {
			w := ix.bytes(&ix.windows[i])
			if bytes.HasPrefix(d, w) {
				longest = max(longest, len(w))
			}
			wantMore = wantMore || len(w) > len(d) && bytes.HasPrefix(w, d)
		}
		i, more := ix.find(d)
		got := 0
		if i >= 0 {
			got = len(ix.bytes(&ix.windows[i]))
		}
		if got != longest || more != wantMore {
			t.Fatalf("find(%q) = a window of %d, %v; want %d, %v", d, got, more, longest, wantMore)
		}
		if (longest > 0 || wantMore) && (!ix.mayBegin(d) || !ix.mayBe(d)) {
			t.Fatalf("the bitmaps exclude %q", d)
		}
	})
}

// TestWrappedAnywhere puts a secret at every column of wrapped lines.
func TestWrappedAnywhere(t *testing.T) {
	for _, value := range []string{"hunter2-canary", "a0b1c2d3e4f5g6h7i8j9k0l1m2n3o4p5q6r7s8t9"} {
		r := NewRedactor([]byte(value))
		for before := range 90 {
			whole := strings.Repeat(".", before) + value + strings.Repeat(".", 90)
			for name, text := range map[string]string{
				"base64": wrapped(base64.StdEncoding.EncodeToString([]byte(whole)), 76, ""),
				"hex":    wrapped(hex.EncodeToString([]byte(whole)), 60, "    "),
			} {
				got := byteByByte(t, r, text)
				if one := r.String(text); one != got {
					t.Fatalf("%q became %q in pieces, but %q as a whole", text, got, one)
				}
				flat := strings.NewReplacer("\n", "", " ", "").Replace(got)
				raw, _ := hex.DecodeString(flat[:strings.Index(flat+Mask, Mask)/2*2])
				if name == "base64" && knows(strings.ReplaceAll(flat, Mask, "."), value) || bytes.Contains(raw, []byte(value[:4])) || !strings.Contains(got, Mask) {
					t.Errorf("%s of %q: %q became %q", name, whole, text, got)
				}
			}
		}
	}
}

func FuzzRedactor(f *testing.F) {
	f.Add([]byte("hunter2"), []byte("a log line"), uint8(3))
	f.Add([]byte("line one\nline two\n"), []byte("\r\n"), uint8(1))
	f.Add([]byte("a\x00b\xff"), []byte(""), uint8(0))
	f.Fuzz(func(t *testing.T, value, noise []byte, at uint8) {
		r := NewRedactor(value)
		text := string(noise)
		clean := write(t, r, text, int(at)+1)
		if !strings.Contains(clean, Mask) && clean != text {
			t.Fatalf("%q became %q", text, clean)
		}
		found := units(value)
		if len(found) == 0 {
			if clean != text {
				t.Fatalf("%q became %q without a secret", text, clean)
			}
			return
		}
		if bytes.ContainsRune(value, '*') {
			return // the mask and the text around it could form the secret again
		}
		whole := found[int(at)%len(found)].parts[0]
		core := string(found[int(at)%len(found)].text[whole.from:whole.to])
		cut := min(int(at), len(noise))
		for name, encoded := range map[string]string{
			"plain":  core,
			"base64": base64.StdEncoding.EncodeToString(append(noise[:cut:cut], core...)),
			"url":    base64.RawURLEncoding.EncodeToString(append(noise[:cut:cut], core...)),
			"hex":    hex.EncodeToString([]byte(core)),
			"json":   string(jsonStyle{html: true}.escape(nil, core)),
			"query":  string(urlStyle{keep: "-_.~", plus: true, upper: true}.escape(nil, core)),
		} {
			in := text[:cut] + encoded + text[cut:]
			got := write(t, r, in, int(at)+1)
			if one := r.String(in); got != one {
				t.Fatalf("%s: %q became %q in pieces, but %q as a whole", name, in, got, one)
			}
			if !strings.Contains(got, Mask) || strings.Contains(got, encoded) || strings.Contains(got, core) {
				t.Fatalf("%s: %q is in %q", name, core, got)
			}
		}
	})
}
