package local

import (
	"reflect"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// notCompiled are the fields of a tool that its spec doesn't have, each with what reads it instead.
var notCompiled = map[string]string{
	"Image":                 "it is pulled by it (run.go); Compile gets the image",
	"Description":           "mayfly ls shows it",
	"Labels":                "programs find tools by them",
	"Args[].Name":           "inputs are given by it",
	"Args[].Type":           "inputs are checked by it",
	"Args[].Description":    "messages about inputs show it",
	"Args[].Required":       "inputs are checked by it",
	"Args[].Options[].Type": "inputs are checked by it, and so are defaults, by tool.Parse",
	"Args[].Options[].Text": "inputs are checked by it, and so are defaults, by tool.Parse",
	"Args[].Default.Type":   "its Text is what the tool gets",
	"Volumes[].Name":        "messages name the volume by it; its secret, file or cache is said by another field",
	"Script.File":           "tool.ReadFiles reads it into Text",
	"Timeout":               "the supervisor of a run ends it (run.go)",
	"Retry.Attempts":        "the supervisor of a run repeats it (run.go)",
	"Retry.Backoff":         "the supervisor of a run repeats it (run.go)",
	"Retry.MaxBackoff":      "the supervisor of a run repeats it (run.go)",
	"Retry.OnExit":          "the supervisor of a run repeats it (run.go)",
	"Outputs":               "they are looked for when the tool has ended (conclude.go)",
	"Source.Path":           "messages name the definition by it",
	"Source.Files":          "the folder is unpacked from it at the start (run.go)",
	"Source.Sent":           "warnings say what is not in the folder (tool/warning.go)",
}

// TestEveryFieldIsCompiled: a change of any field of a tool changes what an engine gets, or something else reads the field. A field
// that is new, and that Compile forgets, fails here.
func TestEveryFieldIsCompiled(t *testing.T) {
	compiled := map[string]bool{}
	for _, base := range fullTools() {
		before, err := compileAll(base)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves(t, reflect.ValueOf(base).Elem(), "") {
			restore := l.change()
			after, err := compileAll(base)
			restore()
			if err != nil && notCompiled[l.path] == "" {
				t.Errorf("%s: %v", l.path, err)
			}
			compiled[l.path] = compiled[l.path] || err == nil && !reflect.DeepEqual(before, after)
		}
	}
	for path, is := range compiled {
		switch reason := notCompiled[path]; {
		case !is && reason == "":
			t.Errorf("nothing that an engine gets depends on Tool.%s: have Compile read it, or say in notCompiled what does", path)
		case is && reason != "":
			t.Errorf("what an engine gets depends on Tool.%s: remove it from notCompiled", path)
		}
	}
	for path := range notCompiled {
		if _, ok := compiled[path]; !ok {
			t.Errorf("notCompiled names Tool.%s, which doesn't exist", path)
		}
	}
	for _, path := range paths(reflect.TypeFor[tool.Tool](), "") {
		if _, ok := compiled[path]; !ok {
			t.Errorf("give one of fullTools a Tool.%s", path)
		}
	}
}

// TestForgottenFieldIsFound: the test above sees a field of any depth.
func TestForgottenFieldIsFound(t *testing.T) {
	type inner struct{ New string }
	type outer struct {
		Old  string
		List []inner
		To   *inner
		At   shape.Position
	}
	want := []string{"Old", "List[].New", "To.New"}
	if got := paths(reflect.TypeFor[outer](), ""); !reflect.DeepEqual(got, want) {
		t.Errorf("the type has %q, want %q", got, want)
	}
	var got []string
	for _, l := range leaves(t, reflect.ValueOf(&outer{List: []inner{{}}, To: &inner{}}).Elem(), "") {
		got = append(got, l.path)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the value has %q, want %q", got, want)
	}
}

// fullTools are tools that have, together, each field at least once: some exclude others.
func fullTools() []*tool.Tool {
	full := func(change func(*tool.Tool)) *tool.Tool {
		readOnly := true
		t := &tool.Tool{
			Name: "t", Description: "d", Image: "i",
			Args: []tool.Arg{{
				Name: "a", Type: shape.TypeString, Env: "A",
				Default: &shape.Value{Type: shape.TypeString, Text: "x"}, Options: []shape.Value{{Type: shape.TypeString, Text: "x"}},
			}},
			Environment: []tool.EnvVar{{Name: "E", Value: "e"}},
			Volumes: []tool.Volume{
				{Name: "secret", Secret: "s", MountPath: "/secrets/s"},
				{Name: "file", File: "f", MountPath: "/f"},
				{Name: "scratch", Size: 1 << 20, MountPath: "/s"},
				{Name: "cache", Cache: "c", MountPath: "/c"},
			},
			Security:   tool.Security{ReadOnly: &readOnly, Capabilities: []string{"CHOWN"}},
			Network:    &network.Policy{Mode: network.ModeOpen},
			WorkingDir: "/w", Timeout: time.Minute, Retry: &tool.Retry{Attempts: 2, OnExit: []int{1}}, Outputs: []string{"o"},
			Labels: map[string]string{"l": "v"}, Source: tool.Source{Path: "t/tool.yaml", Dir: "/t"},
		}
		change(t)
		return t
	}
	return []*tool.Tool{
		full(func(t *tool.Tool) { t.Command = &tool.Command{Argv: []string{"go"}} }),
		full(func(t *tool.Tool) { t.Command = &tool.Command{Shell: "go"} }),
		full(func(t *tool.Tool) { t.Script = &tool.Script{Text: "#!/bin/sh\n", File: "go.sh"} }),
	}
}

// compileAll is all that an engine gets of a tool.
func compileAll(t *tool.Tool) ([]any, error) {
	spec, local, err := Compile("id", &run.Request{Tool: t}, &image.Image{Reference: "i"}, Places{Caches: "/caches"})
	return []any{spec, local}, err
}

// leaf is a field without fields of its own.
type leaf struct {
	path   string
	change func() (restore func())
}

// isLeaf says whether a type is one value to the tests above: a policy of the network is copied as a whole.
func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return t == reflect.TypeFor[*network.Policy]() || t.Elem().Kind() != reflect.Struct
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Struct
	}
	return t.Kind() != reflect.Struct
}

var position = reflect.TypeFor[shape.Position]()

// paths are the fields that a type has, with those of the types below it, except positions, which are for messages.
func paths(of reflect.Type, at string) (out []string) {
	switch {
	case of == position || of == reflect.SliceOf(position):
	case isLeaf(of):
		out = append(out, at)
	case of.Kind() == reflect.Pointer:
		out = paths(of.Elem(), at)
	case of.Kind() == reflect.Slice:
		out = paths(of.Elem(), at+"[]")
	default:
		for i := range of.NumField() {
			out = append(out, paths(of.Field(i).Type, join(at, of.Field(i).Name))...)
		}
	}
	return out
}

// leaves are the fields that a value has.
func leaves(t *testing.T, v reflect.Value, at string) (out []leaf) {
	t.Helper()
	switch of := v.Type(); {
	case of == position || of == reflect.SliceOf(position):
	case isLeaf(of):
		out = append(out, leaf{at, func() func() {
			before := reflect.ValueOf(v.Interface())
			v.Set(other(t, v))
			return func() { v.Set(before) }
		}})
	case of.Kind() == reflect.Pointer:
		if !v.IsNil() {
			out = leaves(t, v.Elem(), at)
		}
	case of.Kind() == reflect.Slice:
		for i := range v.Len() {
			out = append(out, leaves(t, v.Index(i), at+"[]")...)
		}
	default:
		for i := range of.NumField() {
			out = append(out, leaves(t, v.Field(i), join(at, of.Field(i).Name))...)
		}
	}
	return out
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// other is another value of a type.
func other(t *testing.T, v reflect.Value) reflect.Value {
	t.Helper()
	out := reflect.New(v.Type()).Elem()
	switch {
	case v.Type() == reflect.TypeFor[*network.Policy]():
		return reflect.ValueOf(&network.Policy{Mode: network.ModeNone})
	case v.Kind() == reflect.String:
		out.SetString(v.String() + "/other")
	case v.Kind() == reflect.Bool:
		out.SetBool(!v.Bool())
	case v.CanInt():
		out.SetInt(v.Int() + 8<<20)
	case v.Kind() == reflect.Pointer:
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(other(t, v.Elem()))
	case v.Kind() == reflect.Slice:
		out.Set(reflect.Append(reflect.AppendSlice(out, v), other(t, reflect.New(v.Type().Elem()).Elem())))
	case v.Kind() == reflect.Map:
		out.Set(reflect.MakeMap(v.Type()))
	default:
		t.Fatalf("give this test another value of %s", v.Type())
	}
	return out
}
