package tool

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checkEmpty reports a key whose value YAML takes for something else, so that nothing is left of it: an unquoted text that
// begins with "&" is an anchor, and one that begins with "#" a comment (YAML 1.2.2, sections 6.6 and 6.9.2).
func (w *walker) checkEmpty(key, value *yaml.Node) {
	if value.Kind != yaml.ScalarNode || value.Value != "" || value.ShortTag() != "!!null" {
		return
	}
	var text, is string
	switch comment := key.LineComment; {
	case value.Anchor != "":
		text, is = "&"+value.Anchor, "an anchor"
	case len(comment) > 1 && !strings.ContainsAny(comment[1:2], " \t#"):
		text, is = comment, "a comment"
	default:
		return
	}
	w.report(value, fmt.Sprintf("%s has no value: YAML takes %s for %s", quote(key.Value), brief(text), is),
		fmt.Sprintf(`if it is text, put it in quotes: %s; otherwise write ""`, singleQuoted(brief(text))))
	asText(value, text)
}
