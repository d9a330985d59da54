// Package shapetest has helpers for tests of files: cases in files, schemas as editors use them, and bounds on what reading a
// hostile file may cost.
package shapetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Cases reads a file of "== name" sections. It returns the text of each by its name.
func Cases(t testing.TB, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, section := range strings.Split("\n"+strings.ReplaceAll(string(data), "\r\n", "\n"), "\n== ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		if body != "" && !strings.HasSuffix(body, "\n") {
			body += "\n"
		}
		if _, twice := out[name]; twice {
			t.Fatalf("there are two cases %q", name)
		}
		out[name] = body
	}
	return out
}

// Compile compiles a JSON Schema.
func Compile(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("tool.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("tool.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Instance reads YAML or JSON as an editor's validator does. Dates become times and then text, which is how editors treat them.
func Instance(t testing.TB, text string) any {
	t.Helper()
	data := []byte(text)
	if !json.Valid(data) {
		var v any
		err := yaml.Unmarshal(data, &v)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Undescribed fails the test for keys of a schema that have no description, and returns the number of keys.
func Undescribed(t *testing.T, root string, v any) int {
	t.Helper()
	keys := 0
	var visit func(path string, v any)
	visit = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				visit(path, e)
			}
		case map[string]any:
			if props, ok := v["properties"].(map[string]any); ok {
				for name, p := range props {
					keys++
					if d, _ := p.(map[string]any)["description"].(string); !strings.HasSuffix(d, ".") {
						t.Errorf("%s.%s: got the description %q, want a sentence", path, name, d)
					}
					visit(path+"."+name, p)
				}
			}
			visit(path, v["items"])
			visit(path, v["anyOf"])
		}
	}
	visit(root, v)
	return keys
}

// LongestRefusal returns how long the refusal of a definition may take: fifty times as long as reading a harmless one of most
// bytes takes on this machine, which is a second on one of ours. It uses the shortest of five measurements, since another
// program may be busy.
func LongestRefusal(t *testing.T, most int64, parse func(text string) error) time.Duration {
	t.Helper()
	text := "image: a\nscript: |\n" + strings.Repeat("  a, b: [c] - {d}\n", int(most)/18-10)
	least := time.Hour
	for range 5 {
		start := time.Now()
		if err := parse(text); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(start))
	}
	return 50 * least
}

// WantRefusal fails the test unless parse returns an error that contains want, within the time most and 64 MB.
func WantRefusal(t *testing.T, parse func() error, want string, most time.Duration) {
	t.Helper()
	var took time.Duration
	for attempt := 0; attempt == 0 || took > most && attempt < 10; attempt++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := parse()
		took = time.Since(start)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %.200v, want an error with %q", err, want)
		}
		if len(err.Error()) > 20_000 {
			t.Fatalf("the message has %d bytes", len(err.Error()))
		}
		// TotalAlloc counts freed memory too, so it is at least what was held at any time.
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
			t.Fatalf("allocated %d MB", got>>20)
		}
	}
	if took > most {
		t.Errorf("took %s, more than %s, each of ten times", took, most)
	}
}

// CheckProblems checks what editors rely on in the problems of a file: their positions, and that each is one printable line.
func CheckProblems(t *testing.T, err error, data []byte) {
	t.Helper()
	var e *shape.Error
	if !errors.As(err, &e) || len(e.Problems) == 0 || len(e.Problems) > shape.MaxProblems {
		t.Fatalf("got %v, want a *shape.Error with 1 to %d problems", err, shape.MaxProblems)
	}
	lines := strings.Split(string(data), "\n")
	last := 0
	for _, p := range e.Problems {
		if p.Line == 0 && p.Column == 0 {
			continue // about the file as a whole
		}
		// The parser also counts line breaks other than "\n", so columns are only checked against the size of the file.
		if p.Line < last || p.Line > len(lines) || p.Column < 1 || p.Column > len(data)+1 {
			t.Errorf("position %s is not in the file", p.Position)
		}
		last = p.Line
		if strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("problem %q is not one printable line", p)
		}
	}
}

// Bomb returns YAML with nested aliases, in which a few hundred bytes stand for 9^levels values.
func Bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < levels; i++ {
		ref := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(ref+", ", 9), ", "))
	}
	return b.String()
}
