package show

import (
	"bytes"
	"testing"
)

func TestNotes(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(n *notes, tool func(string))
		want string
	}{
		"between lines":      {func(n *notes, tool func(string)) { tool("a\n"); n.add("x"); tool("b\n") }, "a\nmayfly: x\nb\n"},
		"not within a line":  {func(n *notes, tool func(string)) { tool("a"); n.add("x"); tool("b\nc"); n.add("y"); tool("d\n") }, "ab\ncd\nmayfly: x\nmayfly: y\n"},
		"in a line's middle": {func(n *notes, tool func(string)) { tool("a"); n.now("at once"); tool("b\n") }, "a\nat once\nb\n"},
		"after the last":     {func(n *notes, tool func(string)) { tool("a"); n.add("x"); n.last() }, "a\nmayfly: x\n"},
		"nothing to say":     {func(n *notes, tool func(string)) { tool("a"); n.last() }, "a"},
		"during a write": {func(n *notes, tool func(string)) {
			n.begin()
			n.add("x")
			_, _ = n.w.Write([]byte("a\n"))
			n.end([]byte("a\n"))
		}, "a\nmayfly: x\n"},
	} {
		var out bytes.Buffer
		n := &notes{w: Stream{Writer: &out}}
		tt.do(n, func(s string) {
			n.begin()
			out.WriteString(s)
			n.end([]byte(s))
		})
		if out.String() != tt.want {
			t.Errorf("%s: %q, want %q", name, &out, tt.want)
		}
	}
}
