package show

import (
	"bytes"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
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

// TestDroppedText has a mark with numbers, and one of a lost runner, of which nobody knows any.
func TestDroppedText(t *testing.T) {
	for want, d := range map[string]run.Dropped{
		"3 events with 2.0kB of output are missing here: the spool is full": {Events: 3, Bytes: 2048, Reason: "the spool is full"},
		"events may be missing here: the runner is lost":                    {Reason: "the runner is lost"},
	} {
		if got := droppedText(&d); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
}
