//go:build linux

package workflow

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestManyItems checks that mayfly's memory doesn't grow during a for_each over many items (1,000 at full length): it holds no
// more after the first fifth than in it.
func TestManyItems(t *testing.T) {
	items := 200
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		items = 1000
	}
	p := newProject(t, fmt.Sprintf(`
workflow:
- name: all
  tool: {image: busybox, command: 'echo "$N of many lines"; echo "N=$N" > $MAYFLY_OUTPUT', network: none}
  for_each: [%s]
  max_parallel: 4
  inputs: {N: "${item}"}
`, strings.Repeat("x, ", items)))
	c := p.mayfly("run", "flow.yaml")
	out := &counter{}
	c.Stdout = out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	var early, late int
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(20 * time.Millisecond):
			rss := residentKB(c.Process.Pid)
			if out.lines() < items/5 {
				early = max(early, rss)
			} else {
				late = max(late, rss)
			}
		}
	}
	if got := out.lines(); got != items {
		t.Errorf("%d lines were printed, want %d", got, items)
	}
	t.Logf("%d items: at most %d KB in the first fifth, %d KB after it", items, early, late)
	if early == 0 || late > early*5/4+4096 {
		t.Errorf("memory grew from %d KB to %d KB", early, late)
	}
}

// residentKB returns the resident memory of a process, in KB, or 0 if it has ended.
func residentKB(pid int) int {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err == nil {
				return n
			}
		}
	}
	return 0
}
