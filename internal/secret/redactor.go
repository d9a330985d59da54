package secret

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Mask replaces a secret.
const Mask = "***"

// MinMasked is the length in bytes, without white space at the ends, from which a value is masked. A shorter value would mask
// harmless parts of every line, and anyone who sees which parts are masked would know the value.
const MinMasked = 4

// Maskable reports whether a value is long enough to be masked.
func Maskable(value []byte) bool { return len(units(value)) > 0 }

// Redactor masks secrets: it replaces each occurrence of a value, in any of the encodings below, with ***. Occurrences that
// overlap or touch become one mask.
//
// # Encodings
//
// A Redactor finds a value as it is, and in each of these encodings. It also finds the common encodings applied to any of them
// (base64 in base64, JSON in JSON, a URL in a URL, JSON in base64):
//
//   - base64, standard and URL-safe, padded or not, wrapped into lines or not, also if the value is only a part of the encoded
//     data (three alignments); base32 too, in lower and upper case;
//   - hexadecimal, in lower and upper case, wrapped into lines or not, and the rows of xxd, hexdump and od;
//   - URLs, for queries and for paths, with the characters that different libraries keep, in both cases of %2f;
//   - JSON strings, with the characters that different libraries escape, and the escapes of C, Python, JavaScript, Go and YAML;
//   - the quoting of shells, YAML, CSV, HTML and of regular expressions.
//
// # Parts of a value
//
// In JSON and YAML the Redactor masks the decoded leaves and not the whole (see classify). It masks each leaf whose key names a
// secret, each leaf of several lines, and each leaf of at least 16 bytes without a space, except paths, addresses without a
// password, and words whose key says that they are a name. Any other leaf that isn't a word or a small number is masked together
// with its key, as they are written. A value without any leaf to mask is masked as a whole. If a value or a leaf is base64 of
// text, the text is masked too, and so is the password in a URL or in `user:password`.
//
// The Redactor masks any other value as a whole, and each of its lines, except those that are shorter than MinMasked or have
// only form: a PEM boundary, brackets, `users:`, `[default]`. A line such as `token: abc` or `export TOKEN=abc` is a leaf.
// Among such lines, one such as `MODE=x` stays readable.
//
// White space at the ends of a value or line doesn't count. A value shorter than MinMasked isn't masked, so an empty value does
// no harm. Lines shorter than 8 bytes aren't found in base64 and hexadecimal.
//
// A part of a long value is enough: the Redactor masks from the first complete window (32 bytes; 16 characters of base64 and
// hexadecimal) to the first difference. The windows are contiguous. An encoding that would have more than 2,048 windows has
// gaps between them, but still a window at the beginning of each line.
//
// These parts of a secret may stay readable. In base64: up to 4 bits of the first byte and of the last byte of a line, in the
// characters next to the mask; in base64 of base64, two bytes. In wrapped base64 and hexadecimal: up to 4 characters before the
// end of a line. In a dump: up to three bytes before the end of a row or half a row.
//
// # Cost
//
// The time per byte hardly depends on the number of secrets, up to some hundreds. Values over 4 KiB aren't found in base32 and
// dumps, and values over 32 KiB only in the most common encodings. Encodings in encodings take at most 7 MiB for all values
// together; the likeliest ones and the smallest values come first. Without them a value takes 20 to 200 times its size, and more
// the more special characters it has. With them a token takes 40 KiB, and a kubeconfig of 6 KB takes 2.7 MiB. A stream takes at
// most 128 KiB. A Redactor doesn't change, so any number of goroutines may use it.
type Redactor struct {
	index *index // nil: there is nothing to mask
}

// NewRedactor returns a redactor for the values, which it copies.
func NewRedactor(values ...[]byte) *Redactor {
	var different [][]byte
	for _, v := range values {
		// Two secrets may have the same value.
		if !slices.ContainsFunc(different, func(other []byte) bool { return bytes.Equal(other, v) }) {
			different = append(different, v)
		}
	}
	b := &builder{}
	b.add(different...)
	return &Redactor{index: b.build()}
}

// String masks the secrets in s.
func (r *Redactor) String(s string) string {
	if r.index == nil || len(s) < MinMasked {
		return s
	}
	var out bytes.Buffer
	w := newStream(r.index, &out, len(s))
	_, _ = io.WriteString(w, s) // writing to a buffer doesn't fail
	_ = w.Close()
	if out.Len() == len(s) {
		return s // nothing was masked, since a mask is shorter than a secret
	}
	return out.String()
}

// Map returns a copy of m with the secrets in its keys and values masked, or nil if m is nil. Keys that would be equal then are
// numbered.
func (r *Redactor) Map(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	masked := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		key := r.String(k)
		for n := 2; ; n++ {
			if _, taken := masked[key]; !taken {
				break
			}
			key = fmt.Sprintf("%s (%d)", r.String(k), n)
		}
		masked[key] = r.String(m[k])
	}
	return masked
}

// Writer returns a writer that masks secrets and writes the result to w. A secret may be split over any number of writes.
//
// The writer holds back only bytes that may be the beginning of a secret: fewer than the 32 bytes of a window, and after a part of a
// secret up to 64 bytes of white space or of the offset of a dump's next row. Close writes the bytes that are held back; it doesn't
// close w. Write takes all of p unless w fails. After that, it and every later call return w's error, and how much of p was written
// is unknown. Only one goroutine at a time may use the writer. Without secrets, the writer passes p on unchanged.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser {
	if r.index == nil {
		return passthrough{w}
	}
	return newStream(r.index, w, streamBuffer)
}

type passthrough struct{ io.Writer }

func (passthrough) Close() error { return nil }
