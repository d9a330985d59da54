package tool

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

// parseValue reads text, as it comes from a command line, as a value of the type.
func parseValue(typ, s string) (Value, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return Value{}, errors.New("it has a NUL character in it, which no variable can hold")
	}
	switch typ {
	case TypeString:
		return Value{typ, s}, nil
	case TypeInteger:
		text, wrong := whole(s) // 3.0 and 3e2 too, as in a file
		if wrong != "" {
			return Value{}, numberError(quote(s), wrong)
		}
		return Value{typ, text}, nil
	case TypeNumber:
		text, wrong := decimal(s)
		if wrong != "" {
			return Value{}, numberError(quote(s), wrong)
		}
		return Value{typ, text}, nil
	case TypeBoolean:
		if s != "true" && s != "false" {
			return Value{}, fmt.Errorf("%s is neither true nor false", quote(s))
		}
		return Value{typ, s}, nil
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	err := dec.Decode(&v)
	if err == nil {
		// More reads whatever follows, which must be nothing but white space.
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return jsonValue(typ, v)
		}
	}
	return Value{}, fmt.Errorf("%s is not a JSON %s", quote(s), typ)
}

func numberError(what, wrong string) error {
	if wrong == tooLarge {
		return fmt.Errorf("%s is %w", what, errTooLarge)
	}
	return fmt.Errorf("%s is %s", what, wrong)
}

// jsonValue checks that decoded JSON (with numbers as json.Number) is of the type.
func jsonValue(typ string, v any) (Value, error) {
	mismatch := fmt.Errorf("%s is not %s", describeJSON(v), article(typ))
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

// JSON encodes a value for a variable: in one line, and with < and > as they are, since it goes into no page.
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
		return "the text " + quote(v)
	case json.Number:
		return "the number " + brief(v.String())
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a value of type %T", v)
}

// normalize brings a Go value to the types that decoded JSON has, numbers as json.Number.
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
		// YAML libraries turn a plain date into a time; written as text it is not what the author wrote.
		return nil, errors.New("it is a time; put it in quotes to give it as text")
	}
	v, err := Decoded(v)
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

// nodeValue reads a YAML node of a definition as a value of the type. wrong
// completes "the default of …", and hint says what to write.
func nodeValue(typ string, n *yaml.Node) (v Value, wrong, hint string) {
	n = resolve(n)
	if typ == TypeString && n.Kind == yaml.ScalarNode && (numeric(n) || n.ShortTag() == "!!bool") {
		return Value{typ, n.Value}, "", "" // as it is written
	}
	mismatch := fmt.Sprintf("must be %s, not %s", article(typ), describe(n))
	decoded, bad := nodeJSON(n)
	if bad != nil {
		return v, bad.in(n), bad.hint
	}
	v, err := jsonValue(typ, decoded)
	switch {
	case errors.Is(err, errTooLarge):
		return v, "is too large: " + brief(n.Value), ""
	case err != nil:
		return v, mismatch, valueHint(typ, n)
	}
	return v, "", ""
}

// decoded is the value as decoded JSON has it, with numbers as json.Number.
func (v Value) decoded() any {
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

func emptyValue(typ string) any {
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

// equal compares by value: numbers as numbers, also those in arrays and objects.
func (v Value) equal(other Value) bool { return v.Type == other.Type && v.key() == other.key() }

// key is a text that equal values of a type share, and no others.
func (v Value) key() string {
	switch v.Type {
	case TypeString, TypeBoolean:
		return v.Text
	}
	var b strings.Builder
	writeKey(&b, v.decoded())
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
