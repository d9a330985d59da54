package tool

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

// TestFieldsAreComplete: each field of a Tool has a key, is in the case "everything", and is copied by Clone; each key is in
// the docs. ADDING.md has the steps to add a field.
func TestFieldsAreComplete(t *testing.T) {
	full, err := Parse("t.yaml", []byte(shapetest.Cases(t, "testdata/everything.txt")["everything"]))
	if err != nil {
		t.Fatal(err)
	}
	full.Script = &Script{Text: "true"} // a file can't have both a command and a script
	v := reflect.ValueOf(full).Elem()
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("Tool.%s isn't set: give it a key in fields.go, and a value in testdata/everything.txt", v.Type().Field(i).Name)
		}
	}
	wantNothingShared(t, "Tool", v, reflect.ValueOf(full.Clone()).Elem())

	format, err := os.ReadFile("../../docs/TOOL-FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(schema) {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(key) + `\b`).Match(format) {
			t.Errorf("the key %s isn't in docs/TOOL-FORMAT.md", key)
		}
	}
}

// wantNothingShared fails the test if the two values share memory.
func wantNothingShared(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if !a.IsNil() && a.Pointer() == b.Pointer() {
			t.Errorf("%s is the same in a clone: copy it in Clone", path)
			return
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		if !a.IsNil() {
			wantNothingShared(t, path, a.Elem(), b.Elem())
		}
	case reflect.Slice:
		for i := range a.Len() {
			wantNothingShared(t, path+"[]", a.Index(i), b.Index(i))
		}
	case reflect.Struct:
		for i := range a.NumField() {
			wantNothingShared(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}

// keysOf returns the keys of all objects of a schema.
func keysOf(schema any) (keys []string) {
	switch schema := schema.(type) {
	case []any:
		for _, s := range schema {
			keys = append(keys, keysOf(s)...)
		}
	case map[string]any:
		if properties, ok := schema["properties"].(map[string]any); ok {
			for name, s := range properties {
				keys = append(append(keys, name), keysOf(s)...)
			}
		}
		for _, part := range []string{"items", "anyOf"} {
			keys = append(keys, keysOf(schema[part])...)
		}
	}
	return keys
}
