package enginetest

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Fields returns the names of the fields that an engine must act on: those of [engine.Spec], with inner fields as Outer.Inner,
// and those of [engine.Local] with the prefix "Local.".
func Fields() []string {
	return append(fieldsOf("", reflect.TypeFor[engine.Spec]()), fieldsOf("Local.", reflect.TypeFor[engine.Local]())...)
}

// whole has the types whose fields aren't listed one by one: they are the subject of package network, and of the unpacked image.
var whole = map[reflect.Type]bool{
	reflect.TypeFor[network.Rule](): true, reflect.TypeFor[network.PortRange](): true, reflect.TypeFor[engine.Unpacked](): true,
}

// mocksPolicy is a field that is not listed by its parts either: Spec.Network has a test for each part of a policy.
const mocksPolicy = "Mocks.Allow"

func fieldsOf(prefix string, t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Name
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !whole[inner] && name != mocksPolicy {
			all = append(all, fieldsOf(name+".", inner)...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// watched is an engine that notes which fields its starts set, and whose starts do no more than its capabilities say.
type watched struct {
	engine.Engine
	t   *testing.T
	mu  sync.Mutex
	set map[string]bool
}

func (w *watched) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	w.mu.Lock()
	w.note("", reflect.ValueOf(*spec))
	w.note("Local.", reflect.ValueOf(local))
	w.mu.Unlock()
	s, err := w.Engine.Start(ctx, spec, local, streams)
	can := w.Engine.Capabilities()
	if refusal := can.Check(spec); refusal != nil && err == nil {
		w.t.Errorf("it starts what its capabilities leave out: %v", refusal)
	}
	return s, err
}

func (w *watched) note(prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		if f.IsZero() {
			continue
		}
		w.set[name] = true
		for f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch {
		case f.Kind() == reflect.Struct && !whole[f.Type()]:
			w.note(name+".", f)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct && !whole[f.Type().Elem()]:
			for j := range f.Len() {
				w.note(name+".", f.Index(j))
			}
		}
	}
}

// has reports whether a start set the field.
func (w *watched) has(field string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set[field]
}
