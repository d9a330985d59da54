package tooltest

import (
	"fmt"
	"testing"
)

// TestOwnInputsWin checks that a test's own value takes precedence over that of its file, whether each gives it as an input
// or as a variable.
func TestOwnInputsWin(t *testing.T) {
	s := parse(t, `
tool: {image: i, command: [go, a], args: [{name: service_url}]}
environment: {SERVICE_URL: of-the-file, OTHER: stays}
tests:
- {name: of the file}
- {name: own input, inputs: {service_url: own}}
- {name: own variable, inputs: {service_url: input}, environment: {SERVICE_URL: own}}
`)
	for i, want := range []string{"of-the-file", "own", "own"} {
		r := newTester(func(p *process) int {
			fmt.Fprint(p.Stdout, p.Getenv("SERVICE_URL"), " ", p.Getenv("OTHER"))
			return 0
		})
		if res := r.Run(t.Context(), s, &s.Tests[i]); res.Stdout != want+" stays" {
			t.Errorf("%s: %q %s", s.Tests[i].Name, res.Stdout, res.Error)
		}
	}
}

// TestInputsAsWritten checks that a tool gets its inputs as they are written in the file of its tests.
func TestInputsAsWritten(t *testing.T) {
	s := parse(t, `
tool: {image: i, command: [go, a], args: [{name: text}, {name: whole, type: integer}, {name: more, type: array}]}
inputs: {text: 1.20, whole: 9007199254740993}
tests:
- {name: of the file}
- {name: its own, inputs: {text: 0755, whole: 0x1F, more: [1.20, 12345678901234567890]}}
- {name: a date, inputs: {text: 2024-01-02, whole: 1_000}}
- {name: a word, inputs: {text: no}}
- {name: "null", inputs: {text: ~}}
`)
	for i, want := range []string{"1.20 9007199254740993 ", "0755 31 [1.20,12345678901234567890]", "2024-01-02 1000 ", "no 9007199254740993 ", "~ 9007199254740993 "} {
		r := newTester(func(p *process) int {
			fmt.Fprint(p.Stdout, p.Getenv("TEXT"), " ", p.Getenv("WHOLE"), " ", p.Getenv("MORE"))
			return 0
		})
		if res := r.Run(t.Context(), s, &s.Tests[i]); res.Stdout != want {
			t.Errorf("%s: %q %s, want %q", s.Tests[i].Name, res.Stdout, res.Error, want)
		}
	}
}
