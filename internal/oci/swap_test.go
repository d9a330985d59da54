//go:build linux

package oci

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSwapsAreRead(t *testing.T) {
	const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for text, want := range map[string][]string{
		"":      nil,
		heading: nil,
		heading + "/dev/dm-1                               partition\t999420\t\t0\t\t-2\n/swap\\040file                           file\t\t1048572\t\t0\t\t-3\n": {"/dev/dm-1", "/swap file"},
	} {
		if got := parseSwaps(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestSwapThatNobodyReads makes devices in the form of sysfs, below /sys/dev/block.
func TestSwapThatNobodyReads(t *testing.T) {
	sys := t.TempDir()
	write := func(device string, files map[string]string) {
		t.Helper()
		for name, text := range files {
			path := filepath.Join(sys, device, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(sys, device, "slaves"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("8:1", map[string]string{"dev": "8:1"})
	write("8:2", map[string]string{"dev": "8:2"})
	write("253:0", map[string]string{"dm/uuid": "CRYPT-LUKS2-0-x", "slaves/sda1/dev": "8:1"})
	write("253:1", map[string]string{"dm/uuid": "CRYPT-PLAIN-swap", "slaves/sda2/dev": "8:2"})
	write("253:2", map[string]string{"dm/uuid": "LVM-abc", "slaves/dm-0/dev": "253:0"})
	write("253:3", map[string]string{"dm/uuid": "LVM-abc", "slaves/dm-0/dev": "253:0", "slaves/sda2/dev": "8:2"})
	write("252:0", map[string]string{"comp_algorithm": "lzo [zstd]", "backing_dev": "none"})
	write("252:1", map[string]string{"comp_algorithm": "lzo [zstd]", "backing_dev": "/dev/sda2"})
	write("252:2", map[string]string{"comp_algorithm": "lzo [zstd]"}) // as on a kernel without write-back
	for device, want := range map[string]bool{
		"8:1": false, "253:0": true, "253:1": true, "253:2": true, "253:3": false, "252:0": true, "252:1": false, "252:2": true, "9:9": false,
	} {
		if got := unreadable(sys, device); got != want {
			t.Errorf("%s: got %v, want %v", device, got, want)
		}
	}
}

func TestNoSocketMemory(t *testing.T) {
	for cmdline, want := range map[string]bool{
		"quiet cgroup.memory=nosocket":                             true,
		"cgroup.memory=nokmem,nosocket quiet":                      true,
		"cgroup.memory=nokmem cgroup.memory=nosocket\n":            true,
		"cgroup.memory=nokmem":                                     false,
		"cgroup.memory=nosocketx xcgroup.memory=nosocket nosocket": false,
		"": false,
	} {
		if got := noSocketMemory(cmdline); got != want {
			t.Errorf("%q: got %v, want %v", cmdline, got, want)
		}
	}
}
