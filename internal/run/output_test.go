package run

import (
	"strings"
	"testing"
)

// The file of outputs is the tool's: whatever it holds, reading it neither
// panics nor makes anything of it that isn't there.
func FuzzParseOutputs(f *testing.F) {
	for _, seed := range []string{"A=b\n", "A<<E\nx\ny\nE\n", "A<<\n", "=x", "A<b", "A=\xff", "\r\n\n", "A<<E\nno end", "A=1\nA=2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		outputs, err := parseOutputs(append([]byte(nil), data...))
		for name, value := range outputs {
			if !outputName.MatchString(name) || len(value) > maxOutput {
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
