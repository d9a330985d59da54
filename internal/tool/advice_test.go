package tool

import (
	"strings"
	"testing"
)

// TestAdvise: a file that isn't YAML is wrong in the right line, with what to write there.
func TestAdvise(t *testing.T) {
	const quotes = " must be in quotes: "
	for _, c := range []struct{ name, text, want string }{
		{"condition", "workflow:\n  - {name: a}\n  - {name: b, condition: ! ${inputs.x}}\ninputs: []\n", "3:" + `'! ${inputs.x}'`},
		{"condition with quotes", "workflow:\n  - {name: a}\n  - {name: b, condition: ! ${inputs.x} == \"a\"}\n", "3:" + `'! ${inputs.x} == "a"'`},
		{"condition with a tag", "workflow:\n  - {name: b, condition: !failure()}\n", "2:" + `'!failure()'`},
		{"comment in a mapping", "image: a\nenvironment: {A: b #c}\ntimeout: 5s\n", "2:" + `put the text in quotes: 'b #c'`},
		{"comment in a list", "image: a\nenvironment: [A=x #y, B=z]\ntimeout: 5s\n", "2:" + `put the text in quotes: 'A=x #y'`},
		{"comment as a value", "image: a\nenvironment: {PX: #c}\ntimeout: 5s\n", "2:" + `put the text in quotes: '#c'`},
		{"colon", "image: a\ncommand: [a]\nargs: [{name: a, description: a: b}]\n", "3:" + quotes + `'a: b'`},
		{"reference", "workflow:\n  - name: a\n    tool: {image: i}\n    inputs: {X: \"${a.b}\",\n      Y: ${b.c}}\n", "5:between brackets a reference"},
		{"comments of their own", "image: a\ncommand: [a, # one, two\n  # three]\n  b]\nargs: [a: b: c]\n", "5:" + quotes + `'b: c'`},
		{"not closed", "image: a\ncommand: [a, b\n", `2:the bracket isn't closed; add "]"`},
		{"not closed before keys", "image: a\nenvironment: {A: b,\n  C: d\ncommand: [a]\ntimeout: 5s\n", `2:the bracket isn't closed; add "}"`},
		{"quotes in a list", "image: a\ncommand: [\"a\" b, c]\n", "2:the quotes end before the text does; put all of it in quotes: '\"a\" b'"},
		{"key too short", "image: a\nnetwork:\n  - host: a.b\n   ports: [443]\n", "4:indent it like line 3, with 4 spaces"},
		{"mapping too short", "image: a\nenvironment:\n  A: b\n  B: c\n C: d\n", "5:indent it like line 4, with 2 spaces"},
		{"item too short", "workflow:\n  - name: a\n    tool: {image: i,\n      command: [a]}\n - name: b\n", "5:indent it like line 2, with 2 spaces"},
		{"after a block", "image: a\nargs:\n  - name: a\n    description: |\n      some: text\n       more\n   type: string\n", "7:indent it like line 4, with 4 spaces"},
		{"too far", "image: a\nenvironment:\n  A: b\n    B: c\n  C: d\n", "4:indent it like line 3, with 2 spaces"},
		{"too far at the top", "image: a\ntimeout: 5s\n  description: x\n", "3:indent it like line 2, with no spaces"},
		{"percent", "image: a\ncommand: [date, %s]\n", "2:" + quotes + `'%s'`},
		{"at", "image: a\ncommand: [date, @1]\n", "2:" + quotes + `'@1'`},
		{"star", "image: a\nnetwork:\n  - host: *.slack.com\n", "3:" + quotes + `'*.slack.com'`},
		{"star in a list", "image: a\ncommand: [ls, *.txt]\n", "2:" + quotes + `'*.txt'`},
		{"list at its key's column", "image: a\nargs:\n- name: a\n  type: string\n- name: b\n description: c\n", "6:indent it like line 5, with 2 spaces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("t.yaml", []byte(c.text))
			line, hint, _ := strings.Cut(c.want, ":")
			if err == nil || !strings.HasPrefix(err.Error(), "t.yaml:"+line+":1: this is not valid YAML: ") || !strings.Contains(err.Error(), hint) {
				t.Errorf("%v, want %s in line %s", err, hint, line)
			}
		})
	}
}

// TestAdviseFindsNothing: what is valid has no advice, wherever the parser may have stopped.
func TestAdviseFindsNothing(t *testing.T) {
	texts := map[string]string{}
	for _, file := range []string{"accepted.txt", "everything.txt", "suites-everything.txt"} {
		for name, text := range cases(t, file) {
			texts[file+" "+name] = text
		}
	}
	for name, text := range texts {
		lines := strings.Split(text, "\n")
		for named := range lines {
			if line, hint := advise(lines, named); hint != "" {
				t.Errorf("%s, from line %d on: line %d: %s", name, named, line, hint)
				break
			}
		}
	}
}
