package shape

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// Scalar is a value without quotes that YAML doesn't read as text: a number, true, null or a date. A field that takes text
// gets it as written; any other gets its value, from [Decoded].
type Scalar struct {
	Text  string
	Value any // as from decoded JSON
}

// String returns the value as it is written.
func (s Scalar) String() string { return s.Text }

// json returns the value as decoded JSON has it, or the reason why JSON can't have it.
func (s Scalar) json() (any, error) {
	switch wrong := ambiguous(s.Text); {
	case wrong != "":
		return nil, errors.New(wrong)
	case s.Value == nil && notFinite().MatchString(s.Text):
		return nil, fmt.Errorf("%s is not a finite number; put it in quotes if it is text", s.Text)
	case s.Value == nil && len(s.Text) > maxDigits:
		return nil, fmt.Errorf("%s is %w", Brief(s.Text), errTooLarge)
	}
	return s.Value, nil
}

// as returns the value as one of a type: as written if that is text, and otherwise by its meaning.
func (s Scalar) as(typ string) (Value, error) {
	if typ == TypeString {
		return Value{typ, s.Text}, nil
	}
	decoded, err := s.json()
	if err != nil {
		return Value{}, err
	}
	v, err := jsonValue(typ, decoded)
	switch {
	case errors.Is(err, errTooLarge):
		return v, fmt.Errorf("%s is %w", Brief(s.Text), errTooLarge)
	case err != nil:
		return v, fmt.Errorf("%s is not %s", Brief(s.Text), Article(typ))
	}
	return v, nil
}

// Decoded replaces each [Scalar] in a value by its meaning. The result has only the types of decoded JSON.
func Decoded(v any) (any, error) {
	return MapLeaves(v, func(leaf any) (any, error) {
		if s, ok := leaf.(Scalar); ok {
			return s.json()
		}
		return leaf, nil
	})
}

// MapLeaves returns a copy of a value in which f has replaced everything that isn't a list or a mapping.
func MapLeaves(v any, f func(leaf any) (any, error)) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = MapLeaves(v[i], f); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = MapLeaves(v[k], f); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return f(v)
}

// valueError is the error of a node that JSON can't represent.
type valueError struct {
	node *yaml.Node
	// wrong completes "it is …".
	wrong, hint string
}

// in says what is wrong with n, which may be larger than the node of the error.
func (e *valueError) in(n *yaml.Node) string {
	if e.node == Resolve(n) {
		return "is " + e.wrong
	}
	return "contains a value that is " + e.wrong
}

// nodeValues converts a node to what its JSON would decode to, with a [Scalar] for each value without quotes that isn't text.
func nodeValues(n *yaml.Node) (any, *valueError) { return decodeNode(n, scalar) }

// nodeJSON converts a node to what its JSON would decode to.
func nodeJSON(n *yaml.Node) (any, *valueError) { return decodeNode(n, scalarJSON) }

func decodeNode(n *yaml.Node, scalar func(*yaml.Node) (any, *valueError)) (any, *valueError) {
	n = Resolve(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, bad := decodeNode(c, scalar)
			if bad != nil {
				return nil, bad
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := Resolve(n.Content[i])
			if key.Kind != yaml.ScalarNode {
				return nil, &valueError{node: n.Content[i], wrong: "under a key that isn't text"}
			}
			v, bad := decodeNode(n.Content[i+1], scalar)
			if bad != nil {
				return nil, bad
			}
			out[key.Value] = v
		}
		return out, nil
	}
	return scalar(n)
}

func scalar(n *yaml.Node) (any, *valueError) {
	v, bad := scalarJSON(n)
	if _, text := v.(string); text || n.Value == "" {
		return v, bad
	}
	if bad != nil && !numeric(n) {
		return nil, bad
	}
	return Scalar{Text: n.Value, Value: v}, nil // a number that is wrong is still fine as text
}

// numeric reports whether a node is a number, including numbers that the parser reads as text because 64 bits can't hold
// them, such as 1e400.
func numeric(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!int", "!!float":
		return n.Kind == yaml.ScalarNode
	case "!!str":
		text := strings.ReplaceAll(n.Value, "_", "")
		return n.Kind == yaml.ScalarNode && n.Style == 0 && (plainNumber().MatchString(text) || basedNumber().MatchString(text))
	}
	return false
}

// basedNumber matches a whole number that isn't decimal.
var basedNumber = lazyregexp.New(`^[-+]?0(?:x[0-9a-fA-F]+|o[0-7]+|b[01]+)$`)

// notFinite matches how YAML writes infinity and NaN (YAML 1.2.2, section 10.3.2).
var notFinite = lazyregexp.New(`^[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)$`)

// jsonNumber matches a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = lazyregexp.New(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)

func scalarJSON(n *yaml.Node) (any, *valueError) {
	switch tag := n.ShortTag(); {
	case numeric(n):
		return numberJSON(n)
	case tag == "!!null":
		return nil, nil
	case tag == "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case n.Kind != yaml.ScalarNode || !utf8.ValidString(n.Value):
		return nil, &valueError{node: n, wrong: "not a JSON value"}
	}
	return n.Value, nil
}

// nodeWritten is nodeJSON with writtenJSON.
func nodeWritten(n *yaml.Node) (any, *valueError) { return decodeNode(n, writtenJSON) }

// writtenJSON is scalarJSON, except that a number that the versions of YAML read differently becomes text, as it is written:
// JSON has no such number.
func writtenJSON(n *yaml.Node) (any, *valueError) {
	if numeric(n) && ambiguous(n.Value) != "" {
		return n.Value, nil
	}
	return scalarJSON(n)
}

func numberJSON(n *yaml.Node) (any, *valueError) {
	if wrong := ambiguous(n.Value); wrong != "" {
		return nil, &valueError{node: n, wrong: "ambiguous: " + wrong}
	}
	text := strings.ReplaceAll(n.Value, "_", "")
	switch {
	case jsonNumber().MatchString(n.Value):
		return json.Number(n.Value), nil
	case notFinite().MatchString(n.Value):
		return nil, &valueError{node: n, wrong: "not a finite number: " + n.Value, hint: quoteHint(n)}
	case len(n.Value) > maxDigits:
		return nil, &valueError{node: n, wrong: tooLarge + ": " + Brief(n.Value)}
	case plainNumber().MatchString(text):
		return json.Number(decimalForm(text)), nil
	}
	i, ok := new(big.Int).SetString(text, 0)
	if !ok {
		return nil, &valueError{node: n, wrong: "not a JSON number: " + Brief(n.Value), hint: quoteHint(n)}
	}
	return json.Number(i.String()), nil
}

// zeros matches a whole number with leading zeros, which the versions of YAML read differently.
var zeros = lazyregexp.New(`^[+-]?0[0-9_]+$`)

// ambiguous says what to write instead of a number that the versions of YAML read differently. (In YAML 1.1, the int type has
// octal numbers without an "o", and no decimal numbers that begin with 0; in YAML 1.2.2, section 10.3.2, they are all
// decimal.)
func ambiguous(s string) string {
	if !zeros().MatchString(s) {
		return ""
	}
	unsigned := strings.TrimLeft(s, "+-")
	sign := Brief(strings.TrimPrefix(s[:len(s)-len(unsigned)], "+"))
	digits := Brief(cmp.Or(strings.TrimLeft(unsigned, "0_"), "0"))
	if strings.ContainsAny(unsigned, "89") {
		return fmt.Sprintf("%s is text in YAML 1.1 and a number in YAML 1.2; write %s%s, or put it in quotes if it is text", Brief(s), sign, digits)
	}
	return fmt.Sprintf("%s is octal in YAML 1.1 and decimal in YAML 1.2; write %s0o%s or %s%s, or put it in quotes if it is text", Brief(s), sign, digits, sign, digits)
}
