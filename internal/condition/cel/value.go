package cel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// asText is what to do about a number that expressions can't compute with.
const asText = "compare it as text: put it in quotes, and give an input the type string"

// native turns decoded JSON, with numbers as json.Number, into what expressions compute with. JSON has one kind of
// number: it is a double where the variable is one, and otherwise an int where it is whole. A number that its type would
// change is an error: rounded, it would equal numbers that it doesn't equal.
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

// wholeDoubles is 2^53: from there on, several whole numbers share one double.
const wholeDoubles = 1 << 53

// nativeWhole is a number with a magnitude of at least wholeDoubles that a double holds, such as 1e18: an int, as it is where
// it is written without an exponent, so that both are equal.
func nativeWhole(s string) (any, error) {
	r, ok := new(big.Rat).SetString(s) // double has bounded its digits and its exponent
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return nil, fmt.Errorf("%s %s; %s", brief(s), tooLarge, asText)
	}
	return r.Num().Int64(), nil
}

const tooLarge = "is too large for a condition"

// maxDigits bounds the text of a number, and so what it costs to look at it.
const maxDigits = 1000

// double is a decimal number as a double, or says why there is none that stands for this number and no other: the
// shortest decimal of the double has to be the same number.
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
	shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64)) // what this writes is a number
	if !ok || exact.Cmp(shortest) != 0 {
		return 0, "has more digits than a condition can compute with"
	}
	return f, ""
}

// hasDigit reports whether the digits of a number before its exponent are not all 0.
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
