//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	for _, tt := range []struct {
		name string
		opts Options
		want fs.FileMode
	}{
		{"by default", Options{}, 0o600},
		{"said", Options{Mode: 0o666}, 0o640},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			put(t, path, "old")
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := Write(path, nil, tt.opts); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != tt.want {
				t.Errorf("the mode is %v, want %v", info.Mode(), tt.want)
			}
		})
	}
}
