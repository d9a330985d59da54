package shape

import (
	"strings"
	"testing"
)

// yamlError returns what is wrong with a text that should be YAML.
func yamlError(text string) error {
	d, _ := Format{Bounds: LargeBounds()}.Open("t.yaml", []byte(text))
	return d.Err()
}

// TestAdvise: the error of a file that isn't YAML names the right line, and what to write there.
func TestAdvise(t *testing.T) {
	const quotes = " must be in quotes: "
	const quotesForQuestion = ` a text with "?" in it must be in quotes: `
	for _, c := range []struct{ name, text, want string }{
		{"condition", "workflow:\n  - {name: a}\n  - {name: b, condition: ! ${inputs.x}}\ninputs: []\n", "3:" + `'! ${inputs.x}'`},
		{"condition with quotes", "workflow:\n  - {name: a}\n  - {name: b, condition: ! ${inputs.x} == \"a\"}\n", "3:" + `'! ${inputs.x} == "a"'`},
		{"condition with a tag", "workflow:\n  - {name: b, condition: !failure()}\n", "2:" + `'!failure()'`},
		{"comment in a mapping", "image: a\nenvironment: {A: b #c}\ntimeout: 5s\n", "2:" + `put the text in quotes: 'b #c'`},
		{"comment in a list", "image: a\nenvironment: [A=x #y, B=z]\ntimeout: 5s\n", "2:" + `put the text in quotes: 'A=x #y'`},
		{"comment as a value", "image: a\nenvironment: {PX: #c}\ntimeout: 5s\n", "2:" + `put the text in quotes: '#c'`},
		{"colon", "image: a\ncommand: [a]\nargs: [{name: a, description: a: b}]\n", "3:" + quotes + `'a: b'`},
		{"reference", "workflow:\n  - name: a\n    tool: {image: i}\n    inputs: {X: \"${a.b}\",\n      Y: ${b.c}}\n", "5:between brackets a reference"},
		{"comments on their own lines", "image: a\ncommand: [a, # one, two\n  # three]\n  b]\nargs: [a: b: c]\n", "5:" + quotes + `'b: c'`},
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
		{"question mark in a mapping", "image: a\nenvironment: {URL: http://x/?a=1}\ntimeout: 5s\n", "2:between brackets" + quotesForQuestion + `'http://x/?a=1'`},
		{"question mark in a list", "image: a\ncommand: [curl, http://x/?q=1]\n", "2:between brackets" + quotesForQuestion + `'http://x/?q=1'`},
		{"question mark in a deep list", "image: a\nenvironment:\n  A: b\nnetwork: [{host: a.b?c}]\n", "4:between brackets" + quotesForQuestion + `'a.b?c'`},
		{"question mark in lines", "image: a\nenvironment: {\n  A: 1,\n  B: x?y,\n  C: 2\n}\n", "4:between brackets" + quotesForQuestion + `'x?y'`},
		{"question mark and a space", "image: a\ndescription: ? x\n", "2:" + quotes + `'? x'`},
		{"bar in a list", "image: a\ncommand: [sh, |]\n", "2:" + quotes + `'|'`},
		{"tab in a script", "image: a\nscript: |\n  if true; then\n\techo x\n  fi\n", "4:indent with spaces, not tabs"},
		{"text after a list", "image: a\nenvironment:\n  B: [x] y\n", "3:text follows the last bracket; put all of it in quotes: '[x] y'"},
		{"text after a mapping", "image: a\ndescription: {{ x }} y\n", "2:text follows the last bracket; put all of it in quotes: '{{ x }} y'"},
		{"text after lines of a list", "image: a\ncommand: [x,\n  y] z\n", "3:text follows the last bracket; put all of it in quotes"},
		{"no space after the colon", "image: a\nenvironment:\n  A: 1\n  B:2\n  C: 3\n", "4:write a space after the colon: B: 2"},
		{"no space in the first line", "image:a/b\ncommand: x\n", "1:write a space after the colon: image: a/b"},
		{"no space in an item", "image: a\nargs:\n  - name:b\n    type: string\n", "3:write a space after the colon: name: b"},
		{"no colon", "image: a\ncommand\ntimeout: 5s\n", "2:a key needs \": \" after it"},
		{"merge conflict", "image: a\n<<<<<<< HEAD\ncommand: x\n=======\ncommand: y\n>>>>>>> b\n", "2:this is a merge conflict marker; keep one side"},
		{"script too short", "image: a\nscript: |\n    echo a\n  echo b\ntimeout: 5s\n", "4:indent it like the other lines of the block, with 4 spaces or more"},
		{"script too short after another", "image: a\ndescription: |\n  b\nscript: |2\n    echo a\n  echo b\n echo c\n", "7:indent it like the other lines of the block, with 2 spaces or more"},
		{"here-document", "image: a\nscript: |\n  cat <<EOF\nhello world\nEOF\n  x\ntimeout: 5s\n", "4:indent it like the other lines of the block, with 2 spaces or more"},
		{"no space after a script", "image: a\nscript: |\n  a\ncommand:x\n", "4:write a space after the colon: command: x"},
		{"merge conflict after a script", "image: a\nscript: |\n  a\n<<<<<<< HEAD\ncommand: x\n", "4:this is a merge conflict marker; keep one side"},
		{"no colon after a script", "image: a\nscript: |\n  a\ncommand\n", "4:a key needs \": \" after it"},
		{"keys in a list", "image: a\nenvironment:\n  - A=1\n  B: 2\n", `4:line 3 is an item of a list and this is a key; begin both with "- " or neither`},
		{"items in a mapping", "image: a\nenvironment:\n  A: 1\n  - B=2\n", `4:line 3 is a key and this is an item of a list; begin both with "- " or neither`},
		{"wrong bracket", "image: a\nenvironment: {A: [x}\n", `2:the bracket isn't closed; add "]"`},
		{"no comma between lines", "image: a\nenvironment: {\n  A: 1\n  B: 2\n}\n", `3:a comma is missing at the end of the line`},
		{"no comma in JSON", "{\"image\": \"mayfly/shell\"\n \"command\": \"x\"}\n", `1:a comma is missing at the end of the line`},
		{"no comma in a line of JSON", "{\"image\": \"mayfly/shell\" \"command\": \"x\"}\n", `1:a comma is missing before '"command": "x"'`},
		{"no comma after a number in JSON", "{\"a\": {\"b\": 1\n  \"c\": 2},\n \"image\": \"x\"}\n", `1:a comma is missing at the end of the line`},
		{"no comma after a collection", "{\"command\": [\"x\"]\n \"image\": \"y\"}\n", `1:a comma is missing at the end of the line`},
		{"one comma too many", "{\"image\": \"a\",\n \"command\": \"x\",,}\n", `2:there is nothing before this comma; remove it`},
		{"comma first", "image: a\nenvironment:\n  A: ,b\n", "3:" + quotes + `',b'`},
		{"bracket first", "image: a\nenvironment:\n  A: a]\n  B: ]b\n", "4:" + quotes + `']b'`},
		{"escape in a list", "image: a\ncommand: [\"grep\", \"\\d+\"]\n", `2:YAML has no escape \d; write \\d, or use single quotes: '\d+'`},
		{"path of Windows", "image: a\nenvironment:\n  P: \"C:\\Users\\x\"\n", `3:8 hexadecimal digits must follow \U; write \\U, or use single quotes: 'C:\Users\x'`},
		{"dollar", "image: a\ncommand: \"echo \\$x\"\n", `2:YAML has no escape \$; write \\$, or use single quotes: 'echo \$x'`},
		{"dollar in quotes", "image: a\ncommand: \"echo \\\"\\$x\\\"\"\n", `2:YAML has no escape \$; write \\$`},
		{"open quote", "image: a\ncommand: 'a\ntimeout: 5s\n", "2:the quotes aren't closed; end the text with '"},
		{"open quote before another", "image: a\nenvironment:\n  A: \"x\n  B: \"y\"\n  C: z\n", `3:the quotes aren't closed; end the text with "`},
		{"open quote in a mapping", "image: a\nenvironment: {A: \"x}\ncommand: \"true\"\n", `2:the quotes aren't closed; end the text with "`},
		{"open quote in a list", "image: a\ncommand: [echo, \"a\", 'b\", c]\n", "2:the quotes aren't closed; end the text with '"},
		{"text beside a bar", "image: a\nscript: | echo hi\n", `2:what follows "|" must be on the next lines, indented`},
		{"open quote in the first line", "image: \"a\ncommand: b\n", `1:the quotes aren't closed; end the text with "`},
		{"escape in the next line", "image: a\ncommand: \"a\n  b \\d\"\n", `3:YAML has no escape \d`},
		{"escape in the next line of a list", "image: a\ncommand: [a, \"b\n  \\d\"]\n", `3:YAML has no escape \d`},
		{"after quotes of two lines", "image: a\ndescription: \"two\n  lines\"\nenvironment:\n  A: {x: y z: a}\n", "5:" + quotes + `'y z: a'`},
		{"key that begins with a mark", "image: a\nenvironment:\n  %A: x\n", "3:" + quotes + `'%A'`},
		{"no colon after quotes", "image: a\nlabels:\n  a: b\n  \"c\" d\n", `4:a key needs ": " after it`},
		{"no space after quotes", "image: a\nlabels:\n  a: b\n  \"c\":d\n", `4:write a space after the colon: "c": d`},
		{"escape in a key", "image: a\nlabels:\n  \"C:\\d\": x\n", `3:YAML has no escape \d; write \\d, or use single quotes: 'C:\d'`},
		{"escape in a key without a space", "image: a\nlabels:\n  a: b\n  \"C:\\d\":x\n", `4:YAML has no escape \d; write \\d, or use single quotes: 'C:\d'`},
		{"text of a block beside a bar", "image: a\nscript: | echo hi | cat |\n", `2:what follows "|" must be on the next lines, indented`},
		{"comment of JSON", "{\n  \"image\": \"a\",\n  // c\n  \"command\": [\"x\"]\n}\n", `3:a comment begins with "#"`},
		{"no comma before a key", "image: a\nenvironment: {A,\n  B\n  C: d}\n", "3:a comma is missing at the end of the line"},
		{"bracket in a text", "image: a\ncommand: [jq, .items[0]]\n", "2:between brackets a text with \"[\" in it must be in quotes: '.items[0]'"},
		{"one bracket too many", "image: a\nlabels: {a: b}}\n", "2:the last bracket has no opening bracket; remove it"},
		{"text after JSON", "{\"image\": \"a\"} b\n", "1:nothing may follow the last bracket; remove the rest of the line"},
		{"text of two lines", "image: a\ncommand: [a\n  |b\n  !c\n  \"d\", e: f: g]\n", "5:" + quotes + `'f: g'`},
		{"list beside its key", "image: a\ncommand: - x\n", "2:write a list between brackets, [a, b], or each item on its own line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := yamlError(c.text)
			line, hint, _ := strings.Cut(c.want, ":")
			if err == nil || !strings.HasPrefix(err.Error(), "t.yaml:"+line+":1: this is not valid YAML: ") || !strings.Contains(err.Error(), hint) {
				t.Errorf("got %v, want %s in line %s", err, hint, line)
			}
		})
	}
}

// TestTemplate: a template's braces are valid YAML, and the message says what to write for them.
func TestTemplate(t *testing.T) {
	for _, line := range []string{"  A: {{ x }}", "  {A: {{ x }}, B: c}", "  A: {{x}}"} {
		err := yamlError("image: a\nenvironment:\n" + line + "\n")
		text := line[strings.Index(line, "{{") : strings.Index(line, "}}")+2]
		if err == nil || !strings.Contains(err.Error(), `a text that begins with "{" must be in quotes: '`+text+"'") {
			t.Errorf("%s: got %v, want advice to quote it", line, err)
		}
	}
	err := yamlError("image: a\nenvironment: {[a]: b}\n")
	if err == nil || strings.Contains(err.Error(), "in quotes: '{") {
		t.Errorf("a list as a key: got %v, want an error without advice about a template", err)
	}
}

// TestControlCharacter: the parser names no line for a character that YAML doesn't have.
func TestControlCharacter(t *testing.T) {
	for _, c := range []struct{ file, at string }{
		{"image: a\ncommand: a\ab\n", "t.yaml:2:11: "},
		{"image: é\r\ncommand: é\u0085\ta\x7f\n", "t.yaml:2:14: "},
		{"image: a\ncommand: 'x\ufffe'\n", "t.yaml:2:12: "},
		{"image: a\ncommand: 'é\uffff'\n", "t.yaml:2:12: "},
		{"image: a\rdescription: b\ncommand: a\ab\n", "t.yaml:2:11: "},
	} {
		err := yamlError(c.file)
		if err == nil || !strings.HasPrefix(err.Error(), c.at+"this is not valid YAML: ") || !strings.Contains(err.Error(), "an escape in double quotes") {
			t.Errorf("%q: got %v, want an error at %s with advice", c.file, err, c.at)
		}
	}
}

// TestUnknownAlias: the parser names no line for an alias without an anchor.
func TestUnknownAlias(t *testing.T) {
	for _, c := range []struct{ name, file, at, alias string }{
		{"in a comment before", "image: a\n# use *x here\ncommand: [*x]\n", "3:11", "x"},
		{"as an item in a comment", "image: a #, *x\n# - *x\ncommand: [*x]\n", "3:11", "x"},
		{"in a text before", "image: a\ndescription: use *x here\ncommand: [a,*x]\n", "3:13", "x"},
		{"beside a longer name", "image: a\nlabels: {a: &xy b, c: *xy, é: *x}\n", "2:31", "x"},
		{"misspelt", "image: a\nlabels: &base {a: b}\nenvironment: *bse\n", "3:14", "bse"},
		{"in a list", "image: a\ncommand:\n  - \"# \"\n  - b#c\n  - *y-1\n", "5:5", "y-1"},
		{"on its own line", "image: a\ncommand:\n  *x\n", "3:3", "x"},
		{"as a key", "image: a\nlabels:\n  *x : b\n", "3:3", "x"},
		{"after quotes with a comment's mark", "image: a\nlabels: {a: \" #\", b: *x}\n", "2:22", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := yamlError(c.file)
			want := "t.yaml:" + c.at + ": this is not valid YAML: unknown anchor '" + c.alias + "' referenced; a text that begins with \"*\" must be in quotes: '*" +
				c.alias + "'; if it stands for another value, that value must begin with &" + c.alias
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
