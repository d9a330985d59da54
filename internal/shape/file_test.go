package shape

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReadFile: of a large file only as much is read as shows that it is too large.
func TestReadFile(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 64<<20); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(big, "file"); err != nil || int64(len(data)) != LargeBounds().FileSize+1 {
		t.Errorf("read %d bytes of a large file, %v; want %d", len(data), err, LargeBounds().FileSize+1)
	}
}
