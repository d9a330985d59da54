package sandbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// TestSaveCaches: a save that is stopped, or whose mayfly is gone, leaves the
// former copy.
func TestSaveCaches(t *testing.T) {
	kill := engine.SIGKILL
	for name, tell := range map[string]func(chan wire.Request){
		"no":     nil,
		"signal": func(c chan wire.Request) { c <- wire.Request{Signal: &kill} },
		"gone":   func(c chan wire.Request) { close(c) },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cache{file: filepath.Join(t.TempDir(), "c.tar"), dir: t.TempDir(), size: 1 << 30}
			if err := os.WriteFile(c.file, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			// Writing out a hole of 256 MiB takes long.
			file := filepath.Join(c.dir, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, 256<<20); err != nil {
				t.Fatal(err)
			}
			s := &supervisor{start: &wire.Start{EndWithin: time.Hour}, requests: make(chan wire.Request, 1), rootfs: &rootfs{caches: []*cache{c}}}
			if tell != nil {
				tell(s.requests)
			}
			if err := s.saveCaches(); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if kept := info.Size() == int64(len("before")); kept != (tell != nil) {
				t.Errorf("the kept copy has %d bytes, want the former copy: %v", info.Size(), tell != nil)
			}
		})
	}
}
