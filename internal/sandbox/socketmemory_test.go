package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestTooManySockets(t *testing.T) {
	sockstat := func(tcp, udp, raw int) string {
		return fmt.Sprintf("sockets: used 999999\nTCP: inuse %d orphan 0 tw 0 alloc 99999 mem 99999\nUDP: inuse %d mem 99999\nUDPLITE: inuse 0\nRAW: inuse %d\nFRAG: inuse 9999 memory 99999\n", tcp, udp, raw)
	}
	const memory = 256 << 20 // 1,024 sockets
	tests := map[string]struct {
		v4, v6  string // "" means no file; there is always a file netlink
		netlink string
		memory  int64
		want    bool
		fails   bool
	}{
		"the limit":         {v4: sockstat(1000, 20, 4), memory: memory},
		"one more":          {v4: sockstat(1000, 20, 5), memory: memory, want: true},
		"both versions":     {v4: sockstat(1000, 0, 0), v6: "TCP6: inuse 25\nUDP6: inuse 0\nFRAG6: inuse 9999 memory 9\n", memory: memory, want: true},
		"netlink":           {v4: sockstat(1000, 20, 4), netlink: "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n0000000000000000 0   0          00000000 0        0        0     2        0        1\n0000000000000000 15  0          00000000 0        0        0     2        0        2\n", memory: memory, want: true},
		"the minimum":       {v4: sockstat(engine.MinSockets, 0, 0), memory: 4 << 20},
		"above the minimum": {v4: sockstat(engine.MinSockets+1, 0, 0), memory: 4 << 20, want: true},
		"gone":              {memory: memory},
		"not a number":      {v4: "TCP: inuse many\n", memory: memory, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var files []string
			for i, text := range []string{tt.v4, tt.v6, tt.netlink} {
				files = append(files, filepath.Join(t.TempDir(), []string{"sockstat", "sockstat6", "netlink"}[i]))
				if text == "" && i < 2 {
					continue
				}
				if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			many, err := tooManySockets(files, tt.memory)
			if many != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %v, %v, want %v, an error %v", many, err, tt.want, tt.fails)
			}
		})
	}
	if _, err := tooManySockets([]string{t.TempDir()}, memory); err == nil {
		t.Error("a file that can't be read counts as no sockets")
	}
}
