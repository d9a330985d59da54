package shape

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbers(t *testing.T) {
	for _, tt := range []struct{ in, decimal, whole string }{
		{"5", "5", "5"},
		{"+5", "5", "5"},
		{"-0", "-0", "0"},
		{"007", "7", "7"},
		{"1.20", "1.20", ""},
		{".5", "0.5", ""},
		{"5.", "5", "5"},
		{"3.0", "3.0", "3"},
		{"3e2", "3e2", "300"},
		{"1E-2", "1E-2", ""},
		{"12345678901234567890", "12345678901234567890", "12345678901234567890"},
		{"0.1234567890123456789", "0.1234567890123456789", ""},
		{"1e400", "too large", "too large"},
		{"1e-400", "1e-400", ""},
		{"1e-9999999999999999999", "1e-9999999999999999999", ""},
		{"0e9999999999999999999", "0e9999999999999999999", "0"},
		{"-1.500e3", "-1.500e3", "-1500"},
		{"0.0012e4", "0.0012e4", "12"},
		{"0.0012e3", "0.0012e3", ""},
		{"", "not a number", "not a whole number"},
		{"-", "not a number", "not a whole number"},
		{"1-2", "not a number", "not a whole number"},
		{"0x1F", "not a number", "not a whole number"},
		{"1_0", "not a number", "not a whole number"},
		{"Inf", "not a number", "not a whole number"},
	} {
		if text, wrong := decimal(tt.in); text+wrong != tt.decimal {
			t.Errorf("decimal(%q) = %q, %q, want %q", tt.in, text, wrong, tt.decimal)
		}
		want := tt.whole
		if want == "" {
			want = "not a whole number"
		}
		if text, wrong := whole(tt.in); text+wrong != want {
			t.Errorf("whole(%q) = %q, %q, want %q", tt.in, text, wrong, want)
		}
	}
}

// TestEqualNumbers compares EqualNumbers with exact arithmetic.
func TestEqualNumbers(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?(e[+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got := EqualNumbers(json.Number(a), json.Number(b)); got != (x.Cmp(y) == 0) {
			t.Fatalf("EqualNumbers(%s, %s) = %v, want %v", a, b, got, !got)
		}
	})
	for a, b := range map[json.Number]json.Number{"275.0": "275", "1.2000": "1.2", "1e3": "1000", "-0.0": "0", "0e5": "0", "1e999999999999999999999": "10e999999999999999999998"} {
		if !EqualNumbers(a, b) {
			t.Errorf("EqualNumbers(%s, %s) = false, want true", a, b)
		}
	}
	for a, b := range map[json.Number]json.Number{"1234567890123456788": "1234567890123456789", "12345678901234567891": "12345678901234567892", "0.1": "0.10000000000000001", "1": "-1"} {
		if EqualNumbers(a, b) {
			t.Errorf("EqualNumbers(%s, %s) = true, want false", a, b)
		}
	}
}

// TestNumbersOfAnySize: the time and memory of a comparison grow no faster than the text of an exponent.
func TestNumbersOfAnySize(t *testing.T) {
	for name, exponent := range map[string]string{"value": "-999999999", "text": strings.Repeat("9", 4<<20)} {
		a, b := json.Number("1e"+exponent), json.Number("1e"+exponent+"8")
		if EqualNumbers(a, b) || !EqualNumbers(a, json.Number("1e"+exponent)) {
			t.Errorf("%s: EqualNumbers is wrong for large exponents", name)
		}
	}
}
