//go:build unix

package document

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO is refused at once, and doesn't wait for its writer.
func TestOpenInsideRefusesFIFO(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenInside(dir, "fifo"); err == nil || err.Error() != "it is not a regular file" {
		t.Errorf("its error is %v", err)
	}
}
