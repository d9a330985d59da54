package cel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// asText says what to do about a number that CEL can't represent.
const asText = "compare it as text: put it in quotes, and give an input the type string"

// native converts decoded JSON, with numbers as json.Number, to CEL's values. JSON has only one type of number: native returns a
// double if the variable is a double, and otherwise an int if the number is whole. A number that the conversion would round is
// an error, since the rounded number would equal other numbers.
func native(v any, t condition.Type) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return nativeNumber(v.String(), t)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = native(v[i], condition.Any); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = native(v[k], condition.Any); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func nativeNumber(s string, t condition.Type) (any, error) {
	if t != condition.Double {
		i, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err == nil:
			return i, nil
		case errors.Is(err, strconv.ErrRange):
			return nil, fmt.Errorf("%s %s; %s", brief(s), tooLarge, asText)
		}
	}
	f, wrong := double(s)
	switch {
	case wrong != "":
		return nil, fmt.Errorf("%s %s; %s", brief(s), wrong, asText)
	case t == condition.Double || f > -wholeDoubles && f < wholeDoubles:
		return f, nil
	}
	return nativeWhole(s)
}

// wholeDoubles is 2^53. From there on, several whole numbers have the same double.
const wholeDoubles = 1 << 53

// nativeWhole converts a number of at least wholeDoubles in magnitude that a double represents exactly, such as 1e18. It returns an
// int, as for the same number without an exponent, so that the two are equal.
func nativeWhole(s string) (any, error) {
	r, ok := new(big.Rat).SetString(s) // double has checked the number of digits and the exponent
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return nil, fmt.Errorf("%s %s; %s", brief(s), tooLarge, asText)
	}
	return r.Num().Int64(), nil
}

const tooLarge = "is too large for a condition"

// maxDigits is the largest length of a number's text, which bounds the cost of checking it.
const maxDigits = 1000

// double converts a decimal number to a double. wrong says why that isn't possible: the shortest decimal of the double must be the
// same number.
func double(s string) (f float64, wrong string) {
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || len(s) > maxDigits:
		return 0, tooLarge
	case f == 0 && hasDigit(s):
		return 0, "is too small for a condition"
	case f == 0:
		return 0, ""
	}
	exact, ok := new(big.Rat).SetString(s)
	shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64)) // never fails: FormatFloat writes a number
	if !ok || exact.Cmp(shortest) != 0 {
		return 0, "has more digits than a condition can compute with"
	}
	return f, ""
}

// hasDigit reports whether a number has a digit other than 0 before its exponent.
func hasDigit(s string) bool {
	for _, c := range s {
		switch {
		case c == 'e' || c == 'E':
			return false
		case c >= '1' && c <= '9':
			return true
		}
	}
	return false
}

// brief shortens a number for a message.
func brief(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
