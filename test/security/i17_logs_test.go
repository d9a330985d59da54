//go:build linux

package security

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// maxResident bounds the memory of mayfly and of the shim, whatever a tool prints.
const maxResident = 96 << 20

// TestI17_LargeLogs runs tools with large outputs. It compares the size and the hash of what arrives, and checks the peak memory
// of mayfly and of the shim.
func TestI17_LargeLogs(t *testing.T) {
	noise := make([]byte, 50<<20)
	_, _ = rand.Read(noise) // never fails
	c := newCLI(t, imagetest.File{Name: "noise", Body: string(noise)})
	size := int64(1 << 30)
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		size = 10 << 30
	}
	const secretValue = "s3cr3t-t0ken-value" // so that the output goes through the masking
	secretFile := filepath.Join(c.home, "token")
	if err := os.WriteFile(secretFile, []byte(secretValue), 0o600); err != nil {
		t.Fatal(err)
	}
	volume := "volumes: [{name: token, secret: token}]\ntimeout: 100s\n"
	for _, l := range []struct {
		name, script string
		size         int64
		flags        []string
	}{
		{"lines", "yes 0123456789abcdef | head -c %d", size, nil},
		{"lines with a secret", "yes 0123456789abcdef | head -c %d", size / 8, []string{"--secret", "token=file:" + secretFile}},
		{"one line", "head -c %d /dev/zero | tr '\\0' x", 100 << 20, nil},
		{"one line with a secret", "head -c %d /dev/zero | tr '\\0' x", 100 << 20, []string{"--secret", "token=file:" + secretFile}},
		{"binary", "cat /noise; : %d", int64(len(noise)), nil},
	} {
		definition := fmt.Sprintf("script: |\n  "+l.script+"\n", l.size)
		if l.flags != nil {
			definition += volume
		}
		path := c.tool("logs", definition)
		cmd := c.command(append([]string{"run", path, "--quiet"}, l.flags...)...)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr := newOutput()
		cmd.Stderr = stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		peaks := watchMemory(cmd.Process.Pid)
		timer := time.AfterFunc(10*testbed.Patience, func() { _ = cmd.Process.Kill() })
		sum := sha256.New()
		n, err := io.Copy(sum, pipe)
		if err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", l.name, err, stderr)
		}
		timer.Stop()
		for name, peak := range <-peaks() {
			if peak > maxResident || peak == 0 {
				t.Errorf("%s: %s had %d MiB", l.name, name, peak>>20)
			}
			t.Logf("%s: %s had %d MiB", l.name, name, peak>>20)
		}
		if n != l.size {
			t.Errorf("%s: %d bytes of %d arrived", l.name, n, l.size)
		}
		if got, want := hex.EncodeToString(sum.Sum(nil)), expectedHash(l.name, l.size, noise); got != want {
			t.Errorf("%s: other bytes arrived", l.name)
		}
	}
}

// expectedHash returns the hash of what a script prints.
func expectedHash(name string, size int64, noise []byte) string {
	if name == "binary" {
		sum := sha256.Sum256(noise)
		return hex.EncodeToString(sum[:])
	}
	unit := strings.Repeat("x", 1<<20)
	if strings.HasPrefix(name, "lines") {
		unit = strings.Repeat("0123456789abcdef\n", 1<<16)
	}
	sum := sha256.New()
	for left := size; left > 0; left -= int64(len(unit)) {
		_, _ = io.WriteString(sum, unit[:min(left, int64(len(unit)))])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// watchMemory samples the peak memory of mayfly and its shim (proc(5), VmHWM)
// until the returned function is called.
func watchMemory(pid int) func() chan map[string]int64 {
	stop, result := make(chan struct{}), make(chan map[string]int64, 1)
	go func() {
		peaks := map[string]int64{"mayfly": 0, "mayfly-shim": 0}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			peaks["mayfly"] = max(peaks["mayfly"], peakMemory(pid))
			children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
			others, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
			for _, f := range others {
				more, _ := os.ReadFile(f)
				children = append(children, more...)
			}
			for child := range strings.FieldsSeq(string(children)) {
				var n int
				if _, err := fmt.Sscan(child, &n); err == nil && commandOf(n) == "mayfly-shim" {
					peaks["mayfly-shim"] = max(peaks["mayfly-shim"], peakMemory(n))
				}
			}
			select {
			case <-stop:
				result <- peaks
				return
			case <-tick.C:
			}
		}
	}()
	return func() chan map[string]int64 { close(stop); return result }
}

func peakMemory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}
