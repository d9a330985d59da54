package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The types of a value, as JSON Schema names them.
const (
	TypeString  = "string"
	TypeInteger = "integer"
	TypeNumber  = "number"
	TypeBoolean = "boolean"
	TypeArray   = "array"
	TypeObject  = "object"
)

// Types lists the types of a value.
func Types() []string {
	return []string{TypeString, TypeInteger, TypeNumber, TypeBoolean, TypeArray, TypeObject}
}

// Value is a value of one of the types, in the form in which a tool gets it. It is comparable; [Value.Equal] compares numbers by value.
type Value struct {
	// Type is one of the constants above.
	Type string
	// Text is the value as text: a string as it is, numbers in their shortest decimal form, true or false, and arrays
	// and objects as compact JSON with sorted keys.
	Text string
}

// ValueOf returns raw as a value of the type. raw is text, which is parsed as the type, a [Scalar], or what decoded JSON has.
func ValueOf(typ string, raw any) (Value, error) {
	switch s := raw.(type) {
	case string:
		return parseValue(typ, s)
	case Scalar:
		return s.as(typ)
	}
	v, err := normalize(raw)
	if err != nil {
		return Value{}, err
	}
	return jsonValue(typ, v)
}

// parseValue parses text, for example from a command line, as a value of the type.
func parseValue(typ, s string) (Value, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return Value{}, errors.New("it contains a NUL character, which a variable can't hold")
	}
	switch typ {
	case TypeString:
		return Value{typ, s}, nil
	case TypeInteger:
		text, wrong := whole(s) // 3.0 and 3e2 too, as in a file
		if wrong != "" {
			return Value{}, numberError(Quote(s), wrong)
		}
		return Value{typ, text}, nil
	case TypeNumber:
		text, wrong := decimal(s)
		if wrong != "" {
			return Value{}, numberError(Quote(s), wrong)
		}
		return Value{typ, text}, nil
	case TypeBoolean:
		if s != "true" && s != "false" {
			return Value{}, fmt.Errorf("%s is neither true nor false", Quote(s))
		}
		return Value{typ, s}, nil
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	err := dec.Decode(&v)
	if err == nil {
		// Token reads past the value: only white space may follow.
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			if err := CheckDepth(v); err != nil {
				return Value{}, err
			}
			return jsonValue(typ, v)
		}
	}
	return Value{}, fmt.Errorf("%s is not a JSON %s", Quote(s), typ)
}

func numberError(what, wrong string) error {
	if wrong == tooLarge {
		return fmt.Errorf("%s is %w", what, errTooLarge)
	}
	return fmt.Errorf("%s is %s", what, wrong)
}

// jsonValue checks that decoded JSON (with numbers as json.Number) is of the type.
func jsonValue(typ string, v any) (Value, error) {
	mismatch := fmt.Errorf("%s is not %s", describeJSON(v), Article(typ))
	switch v := v.(type) {
	case string:
		if typ == TypeString {
			return parseValue(typ, v)
		}
	case json.Number:
		if typ == TypeNumber {
			return parseValue(typ, v.String())
		}
		if typ == TypeInteger {
			// 3.0 and 3e2 are whole too: JSON has one kind of number (JSON Schema 2020-12 section 6.1.1 of Core).
			text, wrong := whole(v.String())
			if wrong == tooLarge {
				return Value{}, numberError(describeJSON(v), wrong)
			}
			if wrong != "" {
				return Value{}, mismatch
			}
			return Value{typ, text}, nil
		}
	case bool:
		if typ == TypeBoolean {
			return Value{typ, strconv.FormatBool(v)}, nil
		}
	case []any:
		if typ == TypeArray {
			return compact(typ, v)
		}
	case map[string]any:
		if typ == TypeObject {
			return compact(typ, v)
		}
	}
	return Value{}, mismatch
}

func compact(typ string, v any) (Value, error) {
	text, err := JSON(v)
	if err != nil {
		return Value{}, fmt.Errorf("encode %s: %w", typ, err)
	}
	return Value{typ, text}, nil
}

// JSON encodes a value for a variable: on one line, and without escapes for < and >, since it isn't part of a web page.
func JSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func describeJSON(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "the text " + Quote(v)
	case json.Number:
		return "the number " + Brief(v.String())
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a value of type %T", v)
}

// normalize converts a Go value to the types of decoded JSON, with numbers as json.Number.
func normalize(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, bool, json.Number:
		return v, nil
	case Value:
		if v.Type == TypeString {
			return v.Text, nil
		}
		return normalize(json.RawMessage(v.Text))
	case time.Time:
		// YAML libraries turn a plain date into a time, whose text is not what the author wrote.
		return nil, errors.New("it is a time; put it in quotes to give it as text")
	}
	v, err := Decoded(v)
	if err == nil {
		err = CheckDepth(v)
	}
	if err != nil {
		return nil, err
	}
	if f := reflect.ValueOf(v); f.CanFloat() && (math.IsNaN(f.Float()) || math.IsInf(f.Float(), 0)) {
		return nil, errors.New("it is not a finite number")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("it can't be written as JSON: %w", err)
	}
	var out any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("it can't be written as JSON: %w", err)
	}
	return out, nil
}

// NodeValue reads a YAML node of a definition as a value of the type. wrong completes "the default of …", and hint says what
// to write instead.
func NodeValue(typ string, n *yaml.Node) (v Value, wrong, hint string) {
	n = Resolve(n)
	if typ == TypeString && n.Kind == yaml.ScalarNode && (numeric(n) || n.ShortTag() == "!!bool") {
		return Value{typ, n.Value}, "", "" // as it is written
	}
	mismatch := fmt.Sprintf("must be %s, not %s", Article(typ), Describe(n))
	decoded, bad := nodeJSON(n)
	if bad != nil {
		return v, bad.in(n), bad.hint
	}
	v, err := jsonValue(typ, decoded)
	switch {
	case errors.Is(err, errTooLarge):
		return v, "is too large: " + Brief(n.Value), ""
	case err != nil:
		return v, mismatch, valueHint(typ, n)
	}
	return v, "", ""
}

// Decoded returns the value as decoded JSON has it, with numbers as json.Number.
func (v Value) Decoded() any {
	switch v.Type {
	case TypeString:
		return v.Text
	case TypeInteger, TypeNumber:
		return json.Number(v.Text)
	case TypeBoolean:
		return v.Text == "true"
	}
	var out any
	dec := json.NewDecoder(strings.NewReader(v.Text))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		panic(fmt.Sprintf("decode a value that was encoded: %v", err))
	}
	return out
}

// EmptyValue returns the empty value of a type, as decoded JSON has it.
func EmptyValue(typ string) any {
	switch typ {
	case TypeInteger, TypeNumber:
		return json.Number("0")
	case TypeBoolean:
		return false
	case TypeArray:
		return []any{}
	case TypeObject:
		return map[string]any{}
	}
	return ""
}

// Equal reports whether two values have the same type and are equal by value: numbers as numbers, also in arrays and objects.
func (v Value) Equal(other Value) bool { return v.Type == other.Type && v.Key() == other.Key() }

// Key returns a text that is the same for equal values of a type, and different for others.
func (v Value) Key() string {
	switch v.Type {
	case TypeString, TypeBoolean:
		return v.Text
	}
	var b strings.Builder
	writeKey(&b, v.Decoded())
	return b.String()
}

func writeKey(b *strings.Builder, decoded any) {
	switch decoded := decoded.(type) {
	case json.Number:
		n, ok := partsOf(decoded.String())
		if !ok {
			b.WriteString(decoded.String())
			return
		}
		fmt.Fprintf(b, "%s.%se%s", n.sign, n.digits, n.power)
	case []any:
		b.WriteByte('[')
		for _, item := range decoded {
			writeKey(b, item)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for _, key := range slices.Sorted(maps.Keys(decoded)) {
			fmt.Fprintf(b, "%q:", key)
			writeKey(b, decoded[key])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case string:
		fmt.Fprintf(b, "%q", decoded)
	default:
		fmt.Fprint(b, decoded)
	}
}

// TextOf returns a value of any type in the form in which a tool gets it.
func TextOf(raw any) (string, error) {
	switch s := raw.(type) {
	case string:
		v, err := parseValue(TypeString, s)
		return v.Text, err
	case Scalar:
		return s.Text, nil
	}
	v, err := normalize(raw)
	if err != nil {
		return "", err
	}
	if n, ok := v.(json.Number); ok {
		return n.String(), nil // digit for digit
	}
	for _, typ := range Types() {
		if value, err := jsonValue(typ, v); err == nil {
			return value.Text, nil
		}
	}
	return "", fmt.Errorf("%s can't be written as text", describeJSON(v))
}

// valueHint returns a hint for a scalar that has the wrong type only because of its quotes.
func valueHint(typ string, n *yaml.Node) string {
	n = Resolve(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	if _, err := parseValue(typ, n.Value); err == nil && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return "leave the quotes out"
	}
	return ""
}
