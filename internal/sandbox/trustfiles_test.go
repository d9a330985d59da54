package sandbox

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/trust"
)

// TestTrustImageIsBounded: the bytes that are read of an image for a test's authority have a limit, and each hard link counts.
// Files with other names, larger than any bundle, or below one of the tool's volumes don't count.
func TestTrustImageIsBounded(t *testing.T) {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("authority")})
	for _, tt := range []struct {
		name    string
		links   string
		size    int64
		volumes []string
		refused bool
	}{
		{"a few", "/opt/%d.crt", 2 << 20, nil, false},
		{"hard links", "/opt/%d.pem", maxBundle, nil, true},
		{"other names", "/opt/%d.txt", maxBundle, nil, false},
		{"too large for bundles", "/opt/%d.pem", maxBundle + 1, nil, false},
		{"a volume covers them", "/opt/%d.pem", maxBundle, []string{"/opt"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			root := filepath.Join(dir, "lower", "0")
			if err := os.MkdirAll(filepath.Join(root, "opt"), 0o755); err != nil {
				t.Fatal(err)
			}
			first := filepath.Join(dir, "first")
			if err := errors.Join(os.WriteFile(first, nil, 0o600), os.Truncate(first, tt.size)); err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				if err := os.Link(first, filepath.Join(root, fmt.Sprintf(tt.links, i))); err != nil {
					t.Fatal(err)
				}
			}
			r := &rootfs{dir: dir, root: root, layers: 1, targets: tt.volumes, trusting: &trusting{Authority: trust.New(authority)}}
			err := r.trustImage()
			var invalid *engine.InvalidError
			if tt.refused != errors.As(err, &invalid) || !tt.refused && err != nil || tt.refused && !strings.Contains(err.Error(), "more than 64 MiB up to /opt/") {
				t.Errorf("got %v, want it refused: %v", err, tt.refused)
			}
		})
	}
}
