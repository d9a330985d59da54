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

// swapAreas returns the host's swap areas that are in use (proc_swaps(5)). There
// are none if the kernel doesn't support swap.
func swapAreas() ([]string, error) {
	data, err := os.ReadFile("/proc/swaps")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseSwaps(string(data)), err
}

func parseSwaps(text string) (areas []string) {
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if name, _, found := strings.Cut(line, " "); found && i > 0 { // the first line is a heading
			areas = append(areas, unescape.Replace(strings.TrimSuffix(name, "\t")))
		}
	}
	return areas
}

// unescape undoes the kernel's escaping of names (seq_escape).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// probeSwapped checks whether values of secrets can be written to a disk in plain
// text. Files of secrets are kept out of swap if the kernel supports that; the
// memory of mayfly and its shims isn't.
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
		device := st.Dev // for a swap file, the device of its file system
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

// unreadable reports whether data that is written to a block device is encrypted
// or stays in memory. devices is the folder of sysfs with the block devices.
func unreadable(devices, device string) bool {
	dir := filepath.Join(devices, device)
	attribute := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return string(bytes.TrimSpace(data))
	}
	if strings.HasPrefix(attribute("dm/uuid"), "CRYPT-") { // dm-crypt, by cryptsetup's prefix
		return true
	}
	// zram keeps pages in memory, unless it has a device to write them back to.
	if back := attribute("backing_dev"); attribute("comp_algorithm") != "" && (back == "none" || back == "") {
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

// probeNoSwap returns the part of a detail that says whether files of secrets can
// be swapped.
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
