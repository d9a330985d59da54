package tool

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Numbers stay what they are written as, digit for digit: no float is on their way.

// maxDigits bounds a number. Nothing that computes takes more, and arithmetic with more takes long.
const maxDigits = 1000

// decimal brings a finite decimal number into JSON's form, its digits as they are; or says why it can't: "not a
// number", "too large".
func decimal(s string) (text, wrong string) {
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return "", "not a number"
	}
	f, err := strconv.ParseFloat(s, 64)
	large := math.IsInf(f, 0) // by its exponent, or by its digits, which are bounded
	switch {
	case err != nil && !large:
		return "", "not a number"
	case len(s) > maxDigits, large && strings.ContainsAny(s, "eE"):
		return "", "too large"
	}
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
	return sign + whole + fraction + exponent, ""
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
	if wrong == "too large" {
		return "", wrong
	}
	r, ok := new(big.Rat).SetString(s)
	if wrong != "" || !ok || !r.IsInt() {
		return "", "not a whole number"
	}
	return r.Num().String(), ""
}

// EqualNumbers compares two numbers of JSON by value: 1.0 is 1, and no digit is too far behind to count.
func EqualNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	return normal(a) == normal(b)
}

// normal is the one form that equal numbers share: digits that neither begin nor end with 0, and the power of ten that
// the first is.
func normal(n json.Number) string {
	s := strings.ToLower(n.String())
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	mantissa, exponent, _ := strings.Cut(s, "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	power := new(big.Int)
	if exponent != "" {
		if _, ok := power.SetString(strings.TrimPrefix(exponent, "+"), 10); !ok {
			return n.String()
		}
	}
	power.Add(power, big.NewInt(int64(len(digits)-len(fraction))))
	return sign + "." + strings.TrimRight(digits, "0") + "e" + power.String()
}
