package tool

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestLimitsAreComplete: each field of Resources is a limit of the table, and each limit is read, set by its flag, in the
// schemas and in the docs. Together with the tests of the same name in policy, run/local and cli, it finds every place that
// forgets a new limit.
func TestLimitsAreComplete(t *testing.T) {
	var r Resources
	known := map[*int64]string{}
	for _, l := range Limits() {
		known[l.Of(&r)] = l.Name
		if l.Hard != nil {
			known[l.Hard(&r)] = "the hard limit of " + l.Name
		}
	}
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		if known[v.Field(i).Addr().Interface().(*int64)] == "" {
			t.Errorf("Resources.%s is in no limit of Limits", v.Type().Field(i).Name)
		}
	}
	if len(known) != v.NumField() {
		t.Errorf("%d fields, and %d limits: %v", v.NumField(), len(known), known)
	}

	values := map[string]string{"cpu": "2", "memory": "64Mi", "disk": "64Mi", "pids": "100", "nofile": "100", "bandwidth": "10Mbps"}
	format, err := os.ReadFile("../../docs/TOOL-FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	operators, err := os.ReadFile("../../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	var schema bytes.Buffer
	if err := json.Compact(&schema, Schema()); err != nil {
		t.Fatal(err)
	}
	for _, l := range Limits() {
		value := values[l.Name]
		if value == "" {
			t.Errorf("%s: give it a value in this test", l.Name)
			continue
		}
		parsed, err := Parse("t.yaml", []byte("resources: {"+l.Name+": "+value+"}"))
		if err != nil || *l.Of(&parsed.Resources) == 0 {
			t.Errorf("%s isn't read: %v", l.Name, err)
			continue
		}
		var set Resources
		if err := set.Set(l.Name, value); err != nil || set != parsed.Resources {
			t.Errorf("%s isn't set: %+v, %v", l.Name, set, err)
		}
		if text := l.Text(*l.Of(&set)); !strings.ContainsAny(text, "0123456789") {
			t.Errorf("%s is written %q", l.Name, text)
		}
		if !strings.Contains(schema.String(), `"`+l.Name+`":{`) {
			t.Errorf("%s isn't in the schema", l.Name)
		}
		word := regexp.MustCompile(`\b` + l.Name + `\b`)
		if !word.Match(format) || !word.Match(operators) {
			t.Errorf("%s isn't in docs/TOOL-FORMAT.md and docs/CONFIGURATION.md", l.Name)
		}
	}
}

// withoutDefault are the limits that a tool doesn't have unless somebody says so, each with what applies instead.
var withoutDefault = map[string]string{
	"nofile":    "a soft limit of 1024, which the tool may raise to 65536 (Resources.NoFile)",
	"bandwidth": "none: the host's network is the limit",
}

// TestLimitsHaveDefaults: a limit that neither the tool nor the operator sets has a default, or a reason to have none.
func TestLimitsHaveDefaults(t *testing.T) {
	full := (&Tool{}).Defaults()
	known := map[string]bool{}
	for _, l := range Limits() {
		known[l.Name] = true
		switch reason, value := withoutDefault[l.Name], *l.Of(&full.Resources); {
		case value == 0 && reason == "":
			t.Errorf("%s has no default: give it one in Defaults, or say in withoutDefault what applies", l.Name)
		case value != 0 && reason != "":
			t.Errorf("%s has the default %d: remove it from withoutDefault", l.Name, value)
		}
	}
	for name := range withoutDefault {
		if !known[name] {
			t.Errorf("withoutDefault names %s, which is not a limit", name)
		}
	}
}
