package secret

import (
	"bytes"
	"slices"
	"testing"
)

// The drawings of masking.go show what the code does.
func TestDrawings(t *testing.T) {
	t.Run("windows", func(t *testing.T) {
		value := "kubectl-of-the-cluster-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		b := &builder{}
		b.add([]byte(value))
		var at []int
		for _, w := range b.windows {
			if int(w.at)+int(w.n) <= len(value) {
				at = append(at, int(w.at))
			}
		}
		if want := []int{0, 32, len(value) - 32}; !slices.Equal(at, want) {
			t.Errorf("the windows begin at %v, want %v", at, want)
		}
	})
	t.Run("a follower", func(t *testing.T) {
		const value, text = "correct-horse-battery-staple", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZ"
		b := &builder{}
		b.add([]byte(value))
		if !bytes.Contains(b.array, []byte(text)) {
			t.Error("the text isn't looked for")
		}
		got := NewRedactor([]byte(value)).String("key: Y29ycmVjdC1ob3JzZS1i\n  YXR0ZXJ5L, done")
		if want := "key: ***, done"; got != want {
			t.Errorf("it becomes %q, want %q", got, want)
		}
	})
}
