package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return Value{}, fmt.Errorf("%s is not a whole number", quote(s))
		}
		return Value{typ, strconv.FormatInt(n, 10)}, nil
	case TypeNumber:
		text, ok := canonicalNumber(s)
		if !ok {
			return Value{}, fmt.Errorf("%s is not a number", quote(s))
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

// canonicalNumber writes a finite decimal number in the one form that equal numbers share.
func canonicalNumber(s string) (string, bool) {
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return "", false // ParseFloat would take hexadecimal, underscores, infinities and NaN too
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), true // exact beyond the 53 bits of a float
	}
	if f == 0 {
		return "0", true // not -0
	}
	text, err := json.Marshal(f)
	return string(text), err == nil
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
			text, ok := canonicalNumber(v.String())
			if !ok {
				return Value{}, mismatch
			}
			return parseValue(typ, text)
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
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the text goes to a variable, not into a page
	if err := enc.Encode(canonical(v)); err != nil {
		return Value{}, fmt.Errorf("encode %s: %w", typ, err)
	}
	return Value{typ, strings.TrimSuffix(b.String(), "\n")}, nil
}

// canonical writes the numbers in an array or object in their canonical form, so that equal values have equal text.
func canonical(v any) any {
	switch v := v.(type) {
	case json.Number:
		if text, ok := canonicalNumber(v.String()); ok {
			return json.Number(text)
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonical(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = canonical(v[k])
		}
		return out
	}
	return v
}

func describeJSON(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "the text " + quote(v)
	case json.Number:
		return "the number " + v.String()
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

// nodeValue reads a YAML node of a definition as a value of the type. wrong completes "the default of … must be …".
func nodeValue(typ string, n *yaml.Node) (v Value, wrong string) {
	n = resolve(n)
	mismatch := fmt.Sprintf("must be %s, not %s", article(typ), describe(n))
	decoded, ok := nodeJSON(n)
	if !ok {
		return v, mismatch
	}
	v, err := jsonValue(typ, decoded)
	if err != nil {
		return v, mismatch
	}
	return v, ""
}

// nodeJSON turns a node into what its JSON would decode to. It can't where a number is not finite or a key not text.
func nodeJSON(n *yaml.Node) (any, bool) {
	n = resolve(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, ok := nodeJSON(c)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, true
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := resolve(n.Content[i])
			v, ok := nodeJSON(n.Content[i+1])
			if !ok || key.Kind != yaml.ScalarNode {
				return nil, false
			}
			out[key.Value] = v
		}
		return out, true
	case yaml.ScalarNode:
		return scalarJSON(n)
	}
	return nil, false
}

func scalarJSON(n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int":
		if i, err := yamlInt(n.Value); err == nil {
			return json.Number(strconv.FormatInt(i, 10)), true
		}
		text, ok := canonicalNumber(n.Value)
		return json.Number(text), ok
	case "!!float":
		text, ok := canonicalNumber(strings.ReplaceAll(n.Value, "_", ""))
		return json.Number(text), ok
	}
	return n.Value, utf8.ValidString(n.Value)
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
