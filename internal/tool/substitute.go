package tool

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Substitute puts values in the place of references: v is what decoded JSON has with a [Template] for each text, as in
// a [StepInput]. A template that is one reference becomes the value itself, any other one text.
func Substitute(v any, value func(Reference) (any, error)) (any, error) { return substitute(v, value) }

func substitute(v any, value func(Reference) (any, error)) (any, error) {
	switch v := v.(type) {
	case Template:
		if ref, ok := v.Sole(); ok {
			return value(ref)
		}
		return v.Text(value)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = substitute(v[i], value); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = substitute(v[k], value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
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
		text, err := TextOf(v)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.Reference, err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// TextOf is a value, as decoded JSON has it, in the form in which a tool gets it.
func TextOf(v any) (string, error) {
	if n, ok := v.(json.Number); ok {
		return n.String(), nil
	}
	return freeText(v)
}
