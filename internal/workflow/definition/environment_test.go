package definition

import (
	"strings"
	"testing"
)

// TestEnvironmentAsWritten: a variable of a workflow gets the text in the file, as a tool's does.
func TestEnvironmentAsWritten(t *testing.T) {
	const values = "{A: 1.20, B: 0755, C: 0x1F, D: 1e3, E: 1_000, F: +358401234567, G: 2024-01-02, H: no, I: on, J: True, K: ~, L: null, M: , N: '', O: 12:30:45, P: 12345678901234567890, Q: .inf, R: 0o17}"
	const want = "A=1.20 B=0755 C=0x1F D=1e3 E=1_000 F=+358401234567 G=2024-01-02 H=no I=on J=True K=~ L=null M= N= O=12:30:45 P=12345678901234567890 Q=.inf R=0o17"
	def, err := Parse("w.yaml", []byte("environment: "+values+"\nworkflow: [{name: a, tool: {image: i}, environment: "+values+"}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for of, list := range map[string][]StepVariable{"workflow": def.Workflow.Environment, "step": def.Workflow.Steps[0].Environment} {
		var words []string
		for _, v := range list {
			text, err := v.Value.Text(nil)
			if err != nil {
				t.Fatal(err)
			}
			words = append(words, v.Name+"="+text)
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", of, got, want)
		}
	}
}
