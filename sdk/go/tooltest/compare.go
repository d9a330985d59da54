package tooltest

import (
	"math/big"
	"net/url"
	"slices"
	"strings"
)

// This file compares URLs, forms and numbers by their meaning, as docs/TESTING.md describes it.

// slashedPath decodes the path of a URL, except for encoded slashes and percent signs, which differ from plain ones.
func slashedPath(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		code := strings.ToUpper(escaped[i:min(i+3, len(escaped))])
		text, err := url.PathUnescape(code)
		switch {
		case escaped[i] != '%' || err != nil:
			b.WriteByte(escaped[i])
			continue
		case text == "/" || text == "%":
			text = code
		}
		b.WriteString(text)
		i += 2
	}
	return b.String()
}

// paths returns the forms of a request's path; one of them must match. If slashed, for the path of a URL, that is only the
// form that keeps encoded slashes. Otherwise it is also the path as it was sent and, unless a slash in it was encoded twice,
// the decoded path.
func (r *RecordedRequest) paths(slashed bool) []string {
	escaped := r.Path
	if _, rest, ok := strings.Cut(r.URL, "://"); ok {
		rest, _, _ = strings.Cut(rest, "?")
		escaped = "/"
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			escaped = rest[i:]
		}
	}
	kept := slashedPath(escaped)
	switch {
	case slashed:
		return []string{kept}
	case strings.Contains(strings.ToUpper(r.Path), "%2F"):
		return []string{kept, escaped}
	}
	return []string{r.Path, kept, escaped}
}

// paired reports whether each pattern can be paired with a different value, with no value left over.
func paired(patterns, values []string) bool {
	if len(patterns) != len(values) {
		return false
	}
	if len(patterns) == 0 {
		return true
	}
	for i, v := range values {
		if glob(patterns[0], v) && paired(patterns[1:], slices.Delete(slices.Clone(values), i, i+1)) {
			return true
		}
	}
	return false
}

// sameForm reports whether the body is a form with the same fields as want, in any order.
func sameForm(want string, got *RecordedRequest) bool {
	if !strings.HasPrefix(got.Headers.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return false
	}
	wanted, err := url.ParseQuery(want)
	have, other := url.ParseQuery(string(got.Body))
	if err != nil || other != nil || len(wanted) != len(have) {
		return false
	}
	for name, values := range wanted {
		if !slices.Equal(slices.Sorted(slices.Values(values)), slices.Sorted(slices.Values(have[name]))) {
			return false
		}
	}
	return true
}

// equalNumbers compares numbers of JSON by all of their digits.
func equalNumbers(a, b string) bool {
	x, y := numberOf(a), numberOf(b)
	return a == b || x.sign == y.sign && x.digits == y.digits && x.power.Cmp(y.power) == 0
}

// number is sign 0.digits × 10^power. It isn't computed, since that would take time that grows with the exponent.
type number struct {
	sign, digits string
	power        *big.Int
}

func numberOf(s string) number {
	n := number{power: new(big.Int)}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		n.sign, s = "-", rest
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return number{power: n.power}
	}
	if exponent != "" {
		n.power.SetString(exponent, 10) // succeeds, since s is a number of JSON
	}
	n.power.Add(n.power, big.NewInt(int64(len(digits)-len(fraction))))
	n.digits = strings.TrimRight(digits, "0")
	return n
}

// unicodeHost returns a host in lower case and in the letters of its script (RFC 5891 section 5), label by label.
func unicodeHost(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	for i, label := range labels {
		if code, ok := strings.CutPrefix(label, "xn--"); ok {
			if text, ok := punycode(code); ok {
				labels[i] = text
			}
		}
	}
	return strings.Join(labels, ".")
}

// punycode decodes a label (RFC 3492 section 6.2).
func punycode(code string) (string, bool) {
	const base, tMin, tMax, skew, damp = 36, 1, 26, 38, 700
	var out []rune
	if i := strings.LastIndexByte(code, '-'); i >= 0 {
		out, code = []rune(code[:i]), code[i+1:]
	}
	n, at, bias := 128, 0, 72
	for first := true; code != ""; first = false {
		old, weight := at, 1
		for k := base; ; k += base {
			if code == "" {
				return "", false
			}
			digit := strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789", code[0])
			code = code[1:]
			if at += digit * weight; digit < 0 || at > 0x10ffff*64 {
				return "", false
			}
			threshold := min(max(k-bias, tMin), tMax)
			if digit < threshold {
				break
			}
			if weight *= base - threshold; weight > 1<<30 {
				return "", false
			}
		}
		// Adapt the bias (section 6.1).
		size := len(out) + 1
		delta := (at - old) / 2
		if first {
			delta = (at - old) / damp
		}
		delta += delta / size
		k := 0
		for ; delta > (base-tMin)*tMax/2; k += base {
			delta /= base - tMin
		}
		bias = k + (base-tMin+1)*delta/(delta+skew)
		n, at = n+at/size, at%size
		if n > 0x10ffff {
			return "", false
		}
		out = slices.Insert(out, at, rune(n))
		at++
	}
	return string(out), true
}
