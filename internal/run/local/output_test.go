package local

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzParseOutputs: the tool may write anything into the file of outputs. Parsing it doesn't panic, and returns only what is
// in the file.
func FuzzParseOutputs(f *testing.F) {
	for _, seed := range []string{"A=b\n", "A<<E\nx\ny\nE\n", "A<<\n", "=x", "A<b", "A=\xff", "\r\n\n", "A<<E\nno end", "A=1\nA=2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		outputs, err := parseOutputs(append([]byte(nil), data...))
		for name, value := range outputs {
			if !outputName().MatchString(name) || len(value) > maxOutput {
				t.Errorf("output %q of %d bytes", name, len(value))
			}
			if !strings.Contains(string(data), name) {
				t.Errorf("output %q is not in the file", name)
			}
			for line := range strings.SplitSeq(value, "\n") {
				if !strings.Contains(string(data), line) {
					t.Errorf("line %q of %s is not in the file", line, name)
				}
			}
		}
		if err != nil && !strings.Contains(err.Error(), "MAYFLY_OUTPUT") && !strings.Contains(err.Error(), "output ") {
			t.Errorf("the error doesn't say where: %v", err)
		}
	})
}

// TestManyOutputs: the number and size of outputs are bounded, although the file of outputs may be much larger.
func TestManyOutputs(t *testing.T) {
	var many strings.Builder
	for i := range maxOutputs + 1 {
		fmt.Fprintf(&many, "n%d=\n", i)
	}
	for name, test := range map[string]struct{ file, want string }{
		"names":             {many.String(), "line 10001 of $MAYFLY_OUTPUT: there are more than 10000 outputs"},
		"one name":          {strings.Repeat("a=1\n", 2*maxOutputs), ""},
		"lines":             {"a<<E\n" + strings.Repeat("\n", 2*maxOutput) + "E\n", "line 1 of $MAYFLY_OUTPUT: a is longer than 1048576 bytes, the most that an output may have"},
		"as many lines":     {"a<<E\n" + strings.Repeat("\n", maxOutput) + "E\n", ""},
		"one line too many": {"a<<E\n" + strings.Repeat("\n", maxOutput+2) + "E\n", "line 1 of $MAYFLY_OUTPUT: a is longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseOutputs([]byte(test.file))
			if err == nil != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
