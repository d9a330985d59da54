package shape

import (
	"strings"
	"testing"
)

// TestLongScripts: the bounds let long but harmless definitions through.
func TestLongScripts(t *testing.T) {
	script := strings.Repeat("  a, b: [c] - {d}\n", 50_000)
	heads := []string{
		"script: |\n",
		"description: say \"hi\"\nscript: |-\n",
		"# comment, with [brackets\nimage: 'a'\nnetwork: [{host: \"*.slack.com\", ports: [443]}]\nscript: >  # folded\n",
		"environment:\n  - A=\"x y\"\n  - B='c'\nscript: |2\n",
		"labels: {a: \"b\", c: 'd, e'}\ncommand:\n  - \"-x\"\n  - --field=a,b\nenvironment:\n  A:\n  B: |\n    text\nlabel:\nscript: |+\n",
	}
	for _, head := range heads {
		if n := separators([]byte(head + script)); n > 100 {
			t.Errorf("%q: %d separators counted; the script was not skipped", head, n)
		}
	}
	if err := yamlError("image: a\nscript: |\n" + script + "timeout: 5m\n"); err != nil {
		t.Error(err)
	}
}
