//go:build linux

package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// swapAreas are those of the host that are in use (proc_swaps(5)); none where
// the kernel has no swap.
func swapAreas() ([]string, error) {
	data, err := os.ReadFile("/proc/swaps")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseSwaps(string(data)), err
}

func parseSwaps(text string) (areas []string) {
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if name, _, found := strings.Cut(line, " "); found && i > 0 { // the first is a heading
			areas = append(areas, unescape.Replace(strings.TrimSuffix(name, "\t")))
		}
	}
	return areas
}

// unescape undoes what the kernel does to names (seq_escape).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// probeSwapped says whether values can be written to a disk as they are. Files
// of secrets are kept out of swap where the kernel can do that; what mayfly and
// its shims have in memory is not.
func probeSwapped() engine.Check {
	const feature = "secrets and swap"
	areas, err := swapAreas()
	if err != nil {
		return absent(feature, err.Error(), "")
	}
	if len(areas) == 0 {
		return ok(feature, "this host has no swap")
	}
	var plain []string
	for _, area := range areas {
		var st unix.Stat_t
		if err := unix.Stat(area, &st); err != nil {
			plain = append(plain, fmt.Sprintf("%s (%v)", area, err))
			continue
		}
		device := st.Dev // of a swap file, what its file system is on
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			device = st.Rdev
		}
		if !unreadable("/sys/dev/block", fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))) {
			plain = append(plain, area)
		}
	}
	if len(plain) == 0 {
		return ok(feature, "encrypted, or in memory: "+strings.Join(areas, ", "))
	}
	return absent(feature,
		"values that mayfly and its shims hold can be written to "+strings.Join(plain, ", ")+", which isn't known to be encrypted; "+probeNoSwap(),
		"encrypt the swap (crypttab(5)), use zram, or swapoff -a")
}

// unreadable says whether what is written to a block device, as sysfs shows it,
// is encrypted or stays in memory.
func unreadable(devices, device string) bool {
	dir := filepath.Join(devices, device)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return string(bytes.TrimSpace(data))
	}
	if strings.HasPrefix(read("dm/uuid"), "CRYPT-") { // dm-crypt, as cryptsetup names it
		return true
	}
	// zram keeps pages in memory, unless it has a device to write them back to.
	if back := read("backing_dev"); read("comp_algorithm") != "" && (back == "none" || back == "") {
		return true
	}
	below, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil || len(below) == 0 {
		return false
	}
	for _, b := range below { // LVM or RAID on encrypted devices
		at, err := os.ReadFile(filepath.Join(dir, "slaves", b.Name(), "dev"))
		if err != nil || !unreadable(devices, string(bytes.TrimSpace(at))) {
			return false
		}
	}
	return true
}

// probeNoSwap says whether the files of secrets can be swapped.
func probeNoSwap() string {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer unix.Close(fs)
		err = unix.FsconfigSetFlag(fs, "noswap")
	}
	if err != nil {
		return "files of secrets too (tmpfs without noswap: before Linux 6.4, or an ordinary user's)"
	}
	return "files of secrets can't (tmpfs with noswap)"
}
