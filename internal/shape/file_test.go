package shape

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReadFile: however large a file is, no more is read of it than it takes to tell.
func TestReadFile(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 64<<20); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(big, "file"); err != nil || int64(len(data)) != LargeBounds().FileSize+1 {
		t.Errorf("%d bytes were read of a large file, %v", len(data), err)
	}
}
