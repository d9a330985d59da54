package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// inWords describes a value of the wrong type in a JSON document without Go's type names. It returns any other error unchanged.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := "a number"
	switch wrong.Type.Kind() {
	case reflect.Slice, reflect.Array:
		want = "a list"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		want = "an object"
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "true or false"
	}
	where := "the document"
	if wrong.Field != "" {
		where = wrong.Field
	}
	got, ok := map[string]string{"string": "a string", "object": "an object", "array": "a list", "bool": "true or false", "number": "a number"}[wrong.Value]
	if !ok {
		got = wrong.Value // such as "number 5"
	}
	return fmt.Errorf("%s must be %s, not %s", where, want, got)
}
