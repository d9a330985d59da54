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

// Numbers keep all their digits: none is converted to a float.

// maxDigits bounds the length of a number. No program that computes accepts more digits, and arithmetic with more takes long.
const maxDigits = 1000

// tooLarge says that nothing could hold a number; errTooLarge is the same as an error.
const tooLarge = "too large"

var errTooLarge = errors.New(tooLarge)

// plainNumber matches a decimal number as YAML 1.2 writes it (section 10.3.2).
var plainNumber = lazyregexp.New(`^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$`)

// decimal converts a finite decimal number to JSON's form and keeps its digits, or says why it can't: "not a number", "too large".
func decimal(s string) (text, wrong string) {
	switch {
	case !plainNumber().MatchString(s):
		return "", "not a number"
	case len(s) > maxDigits:
		return "", tooLarge
	}
	// Only an exponent can make it too large: the digits are bounded.
	if f, err := strconv.ParseFloat(s, 64); err != nil && math.IsInf(f, 0) && strings.ContainsAny(s, "eE") {
		return "", tooLarge
	}
	return decimalForm(s), ""
}

// decimalForm returns a number that [plainNumber] matches in JSON's form.
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

// HoldsNumber reports whether a definition can hold a number of JSON.
func HoldsNumber(n json.Number) bool {
	_, wrong := decimal(n.String())
	return wrong == ""
}

// whole converts a decimal number that is whole, such as 3, 3.0 or 3e2, to an integer of any size, or says why it can't: "not
// a whole number", "too large".
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
	zeros := int(n.power.Int64()) - len(n.digits) // decimal refuses powers larger than maxDigits
	return n.sign + n.digits + strings.Repeat("0", zeros), ""
}

// EqualNumbers compares two numbers of JSON by value: 1.0 equals 1, and every digit counts.
func EqualNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, ok := partsOf(a.String())
	y, both := partsOf(b.String())
	return ok && both && x.sign == y.sign && x.digits == y.digits && x.power.Cmp(y.power) == 0
}

// parts are the same for equal numbers: a number is 0.digits times ten to the power. To compute that number would take time
// and memory in proportion to the exponent, which a few characters make as large as they like.
type parts struct {
	sign   string
	digits string // begins and ends with a digit other than 0; empty for zero, whose power is 0 and which has no sign
	power  *big.Int
}

// partsOf splits a number of JSON, or of [decimal], into its parts. It reports false for an exponent of more than maxDigits characters.
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
