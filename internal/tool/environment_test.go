package tool

import (
	"strings"
	"testing"
)

// TestEnvironmentAsWritten: a variable gets the text in the file, whatever YAML reads it as.
func TestEnvironmentAsWritten(t *testing.T) {
	const values = "{A: 1.20, B: 0755, C: 0x1F, D: 1e3, E: 1_000, F: +358401234567, G: 2024-01-02, H: no, I: on, J: True, K: ~, L: null, M: , N: '', O: 12:30:45, P: 12345678901234567890, Q: .inf, R: 0o17}"
	const want = "A=1.20 B=0755 C=0x1F D=1e3 E=1_000 F=+358401234567 G=2024-01-02 H=no I=on J=True K=~ L=null M= N= O=12:30:45 P=12345678901234567890 Q=.inf R=0o17"
	tool, err := Parse("t.yaml", []byte("image: i\nenvironment: "+values+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := variablesOf(tool.Environment); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// variablesOf writes the variables of a tool's environment as "NAME=VALUE NAME=VALUE".
func variablesOf(list []EnvVar) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.Name + "=" + v.Value
	}
	return strings.Join(words, " ")
}

// TestDefaultsAsWritten: the default and the options of an argument keep their text if its type is string, and are read as
// values of the type otherwise.
func TestDefaultsAsWritten(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"default: 1.20", "1.20"},
		{"default: 0755", "0755"},
		{"default: 2024-01-02", "2024-01-02"},
		{"default: no", "no"},
		{"default: True", "True"},
		{"default: 1_000", "1_000"},
		{"default: 12345678901234567890", "12345678901234567890"},
		{"default: 1.20, options: [1.2, 1.20]", "1.20"},
		{"type: integer, default: 0x1F", "31"},
		{"type: integer, default: 1_000", "1000"},
		{"type: number, default: 1.20", "1.20"},
		{"type: boolean, default: True", "true"},
		{"type: array, default: [1.20, 9007199254740993, True]", "[1.20,9007199254740993,true]"},
	} {
		tool, err := Parse("t.yaml", []byte("image: i\nargs: [{name: v, "+tt.arg+"}]\n"))
		if err != nil {
			t.Errorf("%s: %v", tt.arg, err)
			continue
		}
		inputs, err := tool.Inputs(nil)
		if err != nil || len(inputs) != 1 || inputs[0].Value != tt.want {
			t.Errorf("%s: got %+v, %v, want %s", tt.arg, inputs, err, tt.want)
		}
	}
}
