package wire

import (
	"encoding"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestProtocol: Protocol must change with the messages, so that two programs with different messages refuse each other
// instead of ignoring fields.
func TestProtocol(t *testing.T) {
	meaning, hash, _ := strings.Cut(Protocol, ".")
	want := hashOf(reflect.TypeFor[Request](), reflect.TypeFor[Report]())
	if hash != want {
		t.Errorf("the messages have changed; set Protocol to %q in hello.go", meaning+"."+want)
	}
}

func hashOf(types ...reflect.Type) string {
	h := fnv.New64a()
	seen := map[reflect.Type]bool{}
	for _, t := range types {
		describe(h, t, seen)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// describe writes everything about a type that matters to JSON: the names, tags and types of its fields, and of theirs.
func describe(w io.Writer, t reflect.Type, seen map[reflect.Type]bool) {
	_, _ = io.WriteString(w, t.String()+" "+t.Kind().String()+"\n") // a hash never fails
	if seen[t] || t.Implements(marshaler) || t.Implements(textMarshaler) {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map:
		describe(w, t.Key(), seen)
		describe(w, t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		describe(w, t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() || f.Anonymous {
				_, _ = io.WriteString(w, f.Name+" "+string(f.Tag)+" ")
				describe(w, f.Type, seen)
			}
		}
	}
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// TestProtocolChangesWithTheMessages: types that JSON reads differently have different hashes.
func TestProtocolChangesWithTheMessages(t *testing.T) {
	type inner struct {
		Memory int64 `json:"memory"`
	}
	type innerMore struct {
		Memory int64 `json:"memory"`
		Disk   int64 `json:"disk"`
	}
	type loop struct {
		Next *loop `json:"next"`
		When time.Time
	}
	all := map[string]string{}
	for name, typ := range map[string]reflect.Type{
		"a field":      reflect.TypeFor[struct{ A int }](),
		"another name": reflect.TypeFor[struct{ B int }](),
		"another type": reflect.TypeFor[struct{ A string }](),
		"another tag": reflect.TypeFor[struct {
			A int `json:"b"`
		}](),
		"one more field":          reflect.TypeFor[struct{ A, B int }](),
		"the other order":         reflect.TypeFor[struct{ B, A int }](),
		"below a field":           reflect.TypeFor[struct{ A inner }](),
		"below it, more":          reflect.TypeFor[struct{ A innerMore }](),
		"below a pointer":         reflect.TypeFor[struct{ A *inner }](),
		"below a pointer, more":   reflect.TypeFor[struct{ A *innerMore }](),
		"in a list":               reflect.TypeFor[struct{ A []inner }](),
		"in a list, more":         reflect.TypeFor[struct{ A []innerMore }](),
		"in a map":                reflect.TypeFor[map[string]inner](),
		"in a map, more":          reflect.TypeFor[map[string]innerMore](),
		"a type that has itself":  reflect.TypeFor[loop](),
		"what marshals by itself": reflect.TypeFor[time.Time](),
	} {
		h := hashOf(typ)
		if other, found := all[h]; found {
			t.Errorf("%s has the same hash as %s", name, other)
		}
		all[h] = name
	}
}

// TestProtocolReachesTheSpec: the fields of a spec and of an event are in the hash.
func TestProtocolReachesTheSpec(t *testing.T) {
	var b strings.Builder
	seen := map[reflect.Type]bool{}
	describe(&b, reflect.TypeFor[Request](), seen)
	describe(&b, reflect.TypeFor[Report](), seen)
	for _, field := range []string{"engine.Resources struct\n", "engine.Usage struct\n", "DiskBytes "} {
		if !strings.Contains(b.String(), field) {
			t.Errorf("no %q in\n%s", field, b.String())
		}
	}
	if strings.Contains(b.String(), "wall ") {
		t.Error("the hash contains the fields of time.Time, which differ between versions of Go")
	}
}

func TestCheck(t *testing.T) {
	own := NewHello()
	if own != NewHello() || own.Protocol == "" || own.Version != "dev" {
		t.Errorf("two hellos of one program: got %+v and %+v, want the same", own, NewHello())
	}
	for _, c := range []struct{ name, protocol, version, want string }{
		{"the same", own.Protocol, own.Version, ""},
		{"the same protocol of another version", own.Protocol, "v9.9.9", ""},
		{"another version", "1.2", "v9.9.9", "it is version dev, and mayfly, which started it, is v9.9.9: they don't work together; install all programs from the same release (mayfly version --all lists them)"},
		{"another build of one version", "1.2", "dev", "it is version dev (protocol " + own.Protocol + "), and mayfly, which started it, is dev (protocol 1.2): they don't"},
		{"none", "", "", "it is version dev, and mayfly, which started it, is an older version: they don't"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Hello{Protocol: c.protocol, Version: c.version}.Check(own)
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
