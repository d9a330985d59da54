package cel

import (
	"encoding/json"

	"github.com/mayfly-run/mayfly/internal/condition"
)

// native turns decoded JSON, with numbers as json.Number, into what expressions compute with. JSON has one kind of
// number: it is a double where the variable is one, and else an int where it is whole.
func native(v any, t condition.Type) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil && t != condition.Double {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = native(v[i], condition.Any)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = native(v[k], condition.Any)
		}
		return out
	}
	return v
}
