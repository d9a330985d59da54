package tool

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// splitEnv parses one KEY=value. It splits at the first "=" and removes one pair of matching quotes around the whole value,
// since no shell reads the value and removes them.
func splitEnv(s string) (v EnvVar, wrong, hint string) {
	name, value, found := strings.Cut(s, "=")
	if !found {
		return v, `has no "="`, "write KEY=value"
	}
	if !ValidEnvName(name) {
		_, hint := CheckEnvName(name)
		return v, "has no valid name before the \"=\"", hint
	}
	if strings.IndexByte(value, 0) >= 0 {
		return v, "contains a NUL character", "a variable can't hold one"
	}
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	return EnvVar{Name: name, Value: value}, "", ""
}

// EnvironmentShape returns the shape of variables: a list of KEY=value, or a mapping.
func EnvironmentShape() shape.Shape[[]EnvVar] {
	entry := shape.Located(shape.Convert(shape.Text(shape.Schema{"pattern": `^[A-Za-z_][A-Za-z0-9_]*=`}, func(s string) (string, string) {
		_, wrong, hint := splitEnv(s)
		return wrong, hint
	}), func(s string) EnvVar {
		v, _, _ := splitEnv(s) // checked above; later checks skip the empty variable of a problem
		return v
	}), func(v EnvVar, p shape.Position) EnvVar {
		v.Position = p
		return v
	})
	readEntry := entry.Read
	entry.Read = func(d *shape.Decoder, n *yaml.Node, label string) (EnvVar, bool) {
		if shape.Resolve(n).Kind == yaml.MappingNode {
			d.Report(n, label+" must be text, not a mapping", "write KEY=value, or leave out the hyphens")
			return EnvVar{}, false
		}
		return readEntry(d, n, label)
	}
	entries := shape.List("an entry of environment", entry)

	value := shape.Loose(nil)
	keyed := shape.Shape[[]EnvVar]{
		Schema: shape.Schema{
			"type": "object", "propertyNames": shape.Schema{"pattern": EnvPattern},
			"additionalProperties": shape.Schema{"type": []string{"string", "number", "boolean", "null"}},
		},
		Read: func(d *shape.Decoder, n *yaml.Node, label string) ([]EnvVar, bool) {
			var out []EnvVar
			ok := d.EachPair(n, label, func(key string, at, v *yaml.Node) {
				if !d.Accept(at, "variable", key, CheckEnvName) {
					return
				}
				e := EnvVar{Name: key, Position: d.Position(at)}
				// "KEY:" without a value is empty, as KEY= is in a list; "KEY: ~" and "KEY: null" keep their text.
				if r := shape.Resolve(v); r.Kind != yaml.ScalarNode || r.ShortTag() != "!!null" {
					e.Value, _ = value.Read(d, v, "variable "+key)
				} else {
					e.Value = r.Value
				}
				out = append(out, e)
			})
			return out, ok
		},
	}
	return shape.ByKind("a list of KEY=value or a mapping", nil, &entries, &keyed)
}
