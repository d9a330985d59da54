package definition

import "testing"

func TestKindOf(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "name: x\n": "", "image: busybox\n": "tool", "name: x\nscript: |\n  image\n": "tool", "command: [x\n": "tool", "\"image\": x": "tool",
		"# a comment\nname: f\nworkflow:\n- {name: a": "workflow", "parallel_tools: [": "workflow", "image: x\nworkflow: []": "workflow",
		"image:\n  repository: x\n": "", "image: {repository: x}\n": "", "image: # none\n": "", "image: &a {b: c}": "",
		"services:\n  a:\n    image: x\nscript: x\n": "", "a:\n  image: x\n": "", "apiVersion: v1\ncommand: x": "",
		"tool: a\ntests: []\nworkflow: x\n": "", "http: []\n": "", "commands: []\n": "", "\x00\xff": "", "image:x": "", "workflows: []": "",
	} {
		if got := KindOf([]byte(text)); got != want {
			t.Errorf("%q looks like %q, want %q", text, got, want)
		}
	}
}
