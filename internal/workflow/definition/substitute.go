package definition

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Substitute puts values in the place of references: v is what decoded JSON has with a [Template] for each text, as in
// a [StepInput]. A template that is one reference becomes the value itself, any other one text.
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

// Text is the template with values in the place of its references.
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
