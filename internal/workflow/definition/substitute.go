package definition

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Substitute replaces references by values. v is a decoded JSON value with a [Template] for each text, as in a [StepInput]. A
// template that is only a reference becomes the value itself, and any other becomes text.
func Substitute(v any, value func(Reference) (any, error)) (any, error) {
	return shape.MapLeaves(v, func(leaf any) (any, error) {
		t, ok := leaf.(Template)
		if !ok {
			return leaf, nil
		}
		if ref, ok := t.Sole(); ok {
			return value(ref)
		}
		return t.Text(value)
	})
}

// Text returns the template with its references replaced by values.
func (t Template) Text(value func(Reference) (any, error)) (string, error) {
	var b strings.Builder
	for _, p := range t.Parts {
		if p.Reference == nil {
			b.WriteString(p.Text)
			continue
		}
		v, err := value(*p.Reference)
		if err != nil {
			return "", err
		}
		text, err := shape.TextOf(v)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.Reference, err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
