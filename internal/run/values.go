package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Values are inputs as a definition or a command line has them: text, numbers, true, false, null, lists, objects, and scalars
// that keep how they are written ([shape.Scalar]).
//
// In JSON each value names its type, since JSON's own types would lose how a scalar is written:
//
//	{"text":"1.20"} {"number":12345678901234567890} {"bool":true} {"null":true}
//	{"list":[…]} {"object":{…}} {"scalar":"0755","value":{"number":755}}
type Values map[string]any

// value is one of [Values] in JSON. Exactly one of its fields is set, or Scalar and Value.
type value struct {
	Text   *string           `json:"text,omitempty"`
	Number json.Number       `json:"number,omitempty"`
	Bool   *bool             `json:"bool,omitempty"`
	Null   bool              `json:"null,omitempty"`
	List   *[]value          `json:"list,omitempty"`
	Object *map[string]value `json:"object,omitempty"`
	Scalar *string           `json:"scalar,omitempty"`
	Value  *value            `json:"value,omitempty"`
}

// Numbers returns v, which was decoded with numbers as float64, with json.Number in their place, as [Values] has them.
func Numbers(v any) any {
	out, _ := shape.MapLeaves(v, func(leaf any) (any, error) {
		if n, ok := leaf.(float64); ok {
			return json.Number(strconv.FormatFloat(n, 'f', -1, 64)), nil
		}
		return leaf, nil
	}) // the function returns no error
	return out
}

// MarshalJSON writes the values with their types.
func (v Values) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	out := make(map[string]value, len(v))
	for name, item := range v {
		typed, err := typedOf(item)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", name, err)
		}
		out[name] = typed
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Values) UnmarshalJSON(data []byte) error {
	var in map[string]value
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // otherwise an unknown type would be an empty value
	if err := dec.Decode(&in); err != nil {
		return err
	}
	*v = nil
	if in == nil {
		return nil
	}
	*v = make(Values, len(in))
	for name, typed := range in {
		item, err := typed.plain()
		if err != nil {
			return fmt.Errorf("input %s: %w", name, err)
		}
		(*v)[name] = item
	}
	return nil
}

func typedOf(item any) (value, error) {
	switch x := item.(type) {
	case nil:
		return value{Null: true}, nil
	case string:
		return value{Text: &x}, nil
	case bool:
		return value{Bool: &x}, nil
	case json.Number:
		return value{Number: x}, nil
	case int:
		return value{Number: json.Number(fmt.Sprint(x))}, nil
	case shape.Scalar:
		meant, err := typedOf(x.Value)
		return value{Scalar: &x.Text, Value: &meant}, err
	case []any:
		list := make([]value, len(x))
		for i, one := range x {
			var err error
			if list[i], err = typedOf(one); err != nil {
				return value{}, err
			}
		}
		return value{List: &list}, nil
	case map[string]any:
		object := make(map[string]value, len(x))
		for key, one := range x {
			typed, err := typedOf(one)
			if err != nil {
				return value{}, err
			}
			object[key] = typed
		}
		return value{Object: &object}, nil
	}
	return value{}, fmt.Errorf("an input can't be a %T", item)
}

func (v *value) plain() (any, error) {
	set := 0
	for _, is := range []bool{v.Text != nil, v.Number != "", v.Bool != nil, v.Null, v.List != nil, v.Object != nil, v.Scalar != nil} {
		if is {
			set++
		}
	}
	if set > 1 || (v.Scalar == nil) != (v.Value == nil) {
		return nil, errors.New("it must have exactly one type")
	}
	switch {
	case v.Null:
		return nil, nil //nolint:nilnil // null is a value
	case v.Text != nil:
		return *v.Text, nil
	case v.Bool != nil:
		return *v.Bool, nil
	case v.Number != "":
		return v.Number, nil
	case v.Scalar != nil:
		meant, err := v.Value.plain()
		return shape.Scalar{Text: *v.Scalar, Value: meant}, err
	case v.List != nil:
		list := make([]any, len(*v.List))
		for i := range *v.List {
			var err error
			if list[i], err = (*v.List)[i].plain(); err != nil {
				return nil, err
			}
		}
		return list, nil
	case v.Object != nil:
		object := make(map[string]any, len(*v.Object))
		for key, typed := range *v.Object {
			item, err := typed.plain()
			if err != nil {
				return nil, err
			}
			object[key] = item
		}
		return object, nil
	}
	return nil, errors.New("it has no value")
}
