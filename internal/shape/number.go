package shape

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// Numbers keep their digits: none passes through a float.

// maxDigits bounds a number. Nothing that computes takes more, and arithmetic with more takes long.
const maxDigits = 1000

// tooLarge is what is wrong with a number that nothing could hold; errTooLarge the same as an error.
const tooLarge = "too large"

var errTooLarge = errors.New(tooLarge)

// plainNumber is a decimal number as YAML 1.2 writes it (section 10.3.2).
var plainNumber = lazyregexp.New(`^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$`)

// decimal brings a finite decimal number into JSON's form, its digits as they are; or says why it can't: "not a
// number", "too large".
func decimal(s string) (text, wrong string) {
	switch {
	case !plainNumber().MatchString(s):
		return "", "not a number"
	case len(s) > maxDigits:
		return "", tooLarge
	}
	// By its exponent: the digits are bounded.
	if f, err := strconv.ParseFloat(s, 64); err != nil && math.IsInf(f, 0) && strings.ContainsAny(s, "eE") {
		return "", tooLarge
	}
	return decimalForm(s), ""
}

// decimalForm is a [plainNumber] in JSON's form.
func decimalForm(s string) string {
	sign := ""
	if s = strings.TrimPrefix(s, "+"); s[0] == '-' {
		sign, s = "-", s[1:]
	}
	mantissa, exponent := s, ""
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		mantissa, exponent = s[:at], s[at:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction + exponent
}

// HoldsNumber says whether a definition can hold a number of JSON.
func HoldsNumber(n json.Number) bool {
	_, wrong := decimal(n.String())
	return wrong == ""
}

// whole brings a decimal number that is whole, such as 3, 3.0 or 3e2, into the form of an integer, of any size; or
// says why it can't: "not a whole number", "too large".
func whole(s string) (text, wrong string) {
	s, wrong = decimal(s)
	if wrong == tooLarge {
		return "", wrong
	}
	n, ok := partsOf(s)
	if wrong != "" || !ok {
		return "", "not a whole number"
	}
	if n.digits == "" {
		return "0", ""
	}
	if n.power.Cmp(big.NewInt(int64(len(n.digits)))) < 0 {
		return "", "not a whole number"
	}
	zeros := int(n.power.Int64()) - len(n.digits) // decimal lets no power pass that is larger than maxDigits
	return n.sign + n.digits + strings.Repeat("0", zeros), ""
}

// EqualNumbers compares two numbers of JSON by value: 1.0 is 1, and no digit is too far behind to count.
func EqualNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, ok := partsOf(a.String())
	y, both := partsOf(b.String())
	return ok && both && x.sign == y.sign && x.digits == y.digits && x.power.Cmp(y.power) == 0
}

// parts are what equal numbers share: a number is 0.digits times ten to the power. Computing that would take time and
// memory by the size of the exponent, which a few characters make as large as they like.
type parts struct {
	sign   string
	digits string // begins and ends with a digit other than 0; empty for zero, whose power is 0 and which has no sign
	power  *big.Int
}

// partsOf takes a number of JSON, or of [decimal], apart. It reports false for an exponent of more than maxDigits characters.
func partsOf(s string) (parts, bool) {
	n := parts{power: new(big.Int)}
	if strings.HasPrefix(s, "-") {
		n.sign, s = "-", s[1:]
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		n.sign = ""
		return n, true
	}
	if exponent != "" {
		if len(exponent) > maxDigits {
			return n, false
		}
		if _, ok := n.power.SetString(exponent, 10); !ok {
			return n, false
		}
	}
	n.power.Add(n.power, big.NewInt(int64(len(digits)-len(fraction))))
	n.digits = strings.TrimRight(digits, "0")
	return n, true
}
