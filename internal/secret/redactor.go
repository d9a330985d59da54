package secret

import (
	"bytes"
	"io"
	"slices"
)

// Mask is what stands in the place of a secret.
const Mask = "***"

// MinMasked is the length in bytes, white space at its ends not counted, from which a value is masked. A shorter one
// would take innocent parts out of every line, and whoever sees them missing knows the value.
const MinMasked = 4

// Maskable says whether a value is long enough to be masked.
func Maskable(value []byte) bool { return len(units(value)) > 0 }

// Redactor masks secrets: each place where a value stands, in any of the encodings below, becomes ***. Places that
// overlap or touch become one.
//
// # What is found
//
// A value is looked for as it is and in the form that each of these gives it. The forms of the common ones are looked for
// within what any of them makes once more (base64 in base64, JSON in JSON, a URL in a URL, JSON in base64):
//
//   - base64, standard and URL-safe, padded or not, also as a part of something larger that was encoded (three
//     alignments), and also when wrapped into lines; base32 likewise, in both cases, not in others;
//   - hexadecimal, lower and upper case, also when wrapped into lines, and the rows of xxd, hexdump and od;
//   - URLs, for queries and for paths, with what different libraries leave as it is, or nothing, in both cases of %2f;
//   - JSON strings, with what different libraries escape, and the escapes of C, Python, JavaScript, Go and YAML;
//   - the quoting of shells, YAML, CSV, HTML and of patterns.
//
// # What is looked for of a value
//
// Of JSON and YAML the leaves are, decoded, and not the whole (see classify): every one whose own key names a secret, and
// every other of several lines, or of 16 bytes or more without a space, except a path, an address without a password, and
// words under a key that names something. Anything else that isn't a word or a small number is looked for together with
// its key, as it is written. Of a value in which that leaves nothing, the whole is looked for. Of a leaf, or any value, that is base64 of text, the text is looked for too, and the password in
// a URL and in `user:password`.
//
// Of other values it is the whole and each line, but not one that is shorter than MinMasked or only gives the rest its
// form: a PEM boundary, brackets, `users:`, `[default]`. A line such as `token: abc` or
// `export TOKEN=abc` is a leaf, and among such lines one like `MODE=x` is none.
//
// White space at the ends of a value and of a line isn't a part of it. A value shorter than MinMasked isn't masked, so
// that an empty one does no harm. Lines of less than 8 bytes aren't looked for in base64 and hexadecimal.
//
// Of something longer than a window (32 bytes; 16 characters of base64 and hexadecimal) a part is enough: it is masked
// from the first window that is there in full to where it differs. Windows follow one another without a gap; those of
// an encoding that would have more than 2,048 stand further apart, but one is at each line's beginning.
//
// What can remain of a secret in base64: up to 4 bits of its first byte and of a line's last one, in the characters
// before and after the mask, and in base64 of base64 two bytes. In wrapped base64 and hexadecimal, up to 4 characters if
// the line ends just there; in a dump, up to three bytes before the end of a row or of the half of one.
//
// # What it costs
//
// The time per byte hardly depends on how many secrets there are, up to some hundreds. Base32 and dumps are left out for
// values over 4 KiB, and all but the most common encodings for those over 32 KiB. Forms in forms take 7 MiB at most for
// all values together, the likeliest ones and the smallest values first. Without them a value takes
// 20 to 200 times its size, the more the more signs it has; with them a token takes 40 KiB, and a kubeconfig of 6 KB
// 2.7 MiB. A stream takes 128 KiB at most. A Redactor doesn't change; any number of goroutines may use it.
type Redactor struct {
	index *index // nil: there is nothing to mask
}

// NewRedactor returns a redactor for the values, which it copies.
func NewRedactor(values ...[]byte) *Redactor {
	var different [][]byte
	for _, v := range values {
		// The same value under two names is one.
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
	_, _ = io.WriteString(w, s) // a buffer takes everything
	_ = w.Close()
	if out.Len() == len(s) {
		return s // a mask is shorter than what it masks
	}
	return out.String()
}

// Map returns a copy of m with the secrets in its keys and values masked. It is nil if m is.
func (r *Redactor) Map(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	masked := make(map[string]string, len(m))
	for k, v := range m {
		masked[r.String(k)] = r.String(v)
	}
	return masked
}

// Writer returns a writer that masks the secrets in what passes through it to w, however they are cut into writes.
//
// It holds back what may be the beginning of a secret, and nothing else: less than a window's 32 bytes, and at most 64
// bytes of white space, or of the offset of a dump's next row, after a part of a secret. Close writes what is held; it doesn't close w. Write takes all of p unless w fails:
// then it and every later call return w's error, and it isn't known how much of p was written. One goroutine at a time
// may use it. A Writer without secrets hands p on as it is.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser {
	if r.index == nil {
		return passthrough{w}
	}
	return newStream(r.index, w, streamBuffer)
}

type passthrough struct{ io.Writer }

func (passthrough) Close() error { return nil }
