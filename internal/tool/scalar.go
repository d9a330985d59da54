package tool

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Scalar is a value without quotes that YAML takes for something else than text: a number, true, null or a date. What
// takes text gets it as it is written; anything else gets its value.
type Scalar struct {
	Text  string
	Value any // as decoded JSON has it
}

// String is the value as it is written.
func (s Scalar) String() string { return s.Text }

// MarshalJSON encodes the value.
func (s Scalar) MarshalJSON() ([]byte, error) { return json.Marshal(s.Value) }

// nodeValues turns a node into what its JSON would decode to, with a [Scalar] for each value without quotes that isn't
// text. It can't where a number is not finite or a key not text.
func nodeValues(n *yaml.Node) (any, bool) { return decodeNode(n, scalar) }

// nodeJSON turns a node into what its JSON would decode to.
func nodeJSON(n *yaml.Node) (any, bool) { return decodeNode(n, scalarJSON) }

func decodeNode(n *yaml.Node, scalar func(*yaml.Node) (any, bool)) (any, bool) {
	n = resolve(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, ok := decodeNode(c, scalar)
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
			v, ok := decodeNode(n.Content[i+1], scalar)
			if !ok || key.Kind != yaml.ScalarNode {
				return nil, false
			}
			out[key.Value] = v
		}
		return out, true
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, false
}

func scalar(n *yaml.Node) (any, bool) {
	v, ok := scalarJSON(n)
	if _, text := v.(string); text || !ok || n.Value == "" {
		return v, ok
	}
	return Scalar{Text: n.Value, Value: v}, true
}

// jsonNumber is a number as JSON has it (RFC 8259, section 6).
var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)

func scalarJSON(n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int":
		if jsonNumber.MatchString(n.Value) {
			return json.Number(n.Value), true
		}
		if len(n.Value) > maxDigits {
			return nil, false
		}
		i, ok := new(big.Int).SetString(strings.ReplaceAll(n.Value, "_", ""), 0)
		if !ok {
			return nil, false
		}
		return json.Number(i.String()), true
	case "!!float":
		text, wrong := decimal(strings.ReplaceAll(n.Value, "_", ""))
		return json.Number(text), wrong == ""
	}
	return n.Value, utf8.ValidString(n.Value)
}

// as is the value of a type: as written for text, and otherwise by what it means.
func (s Scalar) as(typ string) (Value, error) {
	if typ == TypeString {
		return Value{typ, s.Text}, nil
	}
	if octal.MatchString(s.Text) && (typ == TypeInteger || typ == TypeNumber) {
		return Value{}, errors.New(octalWrong(s.Text))
	}
	v, err := jsonValue(typ, s.Value)
	if err != nil {
		return v, fmt.Errorf("%s is not %s", brief(s.Text), article(typ))
	}
	return v, nil
}

// octal matches a number that YAML 1.1 reads as octal and YAML 1.2 as decimal.
var octal = regexp.MustCompile(`^[+-]?0[0-7_]+$`)

func octalWrong(s string) string {
	unsigned := strings.TrimLeft(s, "+-")
	sign := brief(strings.TrimPrefix(s[:len(s)-len(unsigned)], "+"))
	digits := brief(cmp.Or(strings.TrimLeft(unsigned, "0_"), "0"))
	return fmt.Sprintf("%s is octal in YAML 1.1 and decimal in YAML 1.2; write %s0o%s or %s%s, or put it in quotes if it is text", brief(s), sign, digits, sign, digits)
}
