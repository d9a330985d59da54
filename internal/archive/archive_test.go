package archive_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/archive"
)

// TestExact checks that a part with too few bytes is an error, and that one with too many ends where it should.
func TestExact(t *testing.T) {
	for _, c := range []struct {
		text   string
		length int64
		want   string
		err    error
	}{
		{"abc", 3, "abc", nil},
		{"abcdef", 3, "abc", nil},
		{"", 0, "", nil},
		{"abc", 5, "abc", io.ErrUnexpectedEOF},
		{"", 1, "", io.ErrUnexpectedEOF},
	} {
		got, err := io.ReadAll(archive.Exact(strings.NewReader(c.text), c.length))
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d bytes of %q: %q, %v, want %q, %v", c.length, c.text, got, err, c.want, c.err)
		}
	}
}
