//go:build !unix

package tooltest

import (
	"io"
	"strings"
)

// lockFolder locks nothing: no engine runs here.
func lockFolder(string) (io.Closer, error) { return io.NopCloser(strings.NewReader("")), nil }
