package definition

import (
	"bytes"
	"slices"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// topKey is a key at the beginning of a line, and what follows on the line.
var topKey = lazyregexp.New(`(?m)^["']?([A-Za-z_]+)["']?[ \t]*:(?:[ \t]+([^\s#].*))?`)

// KindBytes is how much of a file says what it is.
const KindBytes = 256 << 10

// KindOf says whether a text looks like a workflow or a tool: "workflow", "tool", or "" for neither. It goes by keys at the beginnings of lines, so that a
// file that someone is writing stays what it is while its YAML is wrong. Files of tests and of mocks are neither, nor are those of other programs
// with an image further down.
func KindOf(text []byte) string {
	keys := map[string][]byte{}
	for _, m := range topKey().FindAllSubmatch(text, -1) {
		keys[string(m[1])] = m[2]
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := keys[n]; return ok })
	}
	image := bytes.TrimSpace(keys["image"])
	switch {
	case has("tests", "apiVersion", "services", "jobs"):
		return ""
	case has("workflow", "parallel_tools"):
		return "workflow"
	case has("command", "script"), len(image) > 0 && image[0] != '{' && image[0] != '&':
		return "tool"
	}
	return ""
}
