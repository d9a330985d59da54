//go:build linux

package oci

import (
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestCapabilities(t *testing.T) {
	const all = capabilities(math.MaxUint64)
	for name, test := range map[string]struct {
		have    capabilities
		feature string // the feature that isn't ok
		status  engine.CheckStatus
		names   string
	}{
		"all":    {have: all},
		"ptrace": {all &^ (1 << unix.CAP_SYS_PTRACE), featureStart, engine.CheckMissing, "lacks CAP_SYS_PTRACE"},
		"two":    {all &^ (1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_CHOWN), featureStart, engine.CheckMissing, "lacks CAP_CHOWN, CAP_DAC_OVERRIDE"},
		"kill":   {all &^ (1 << unix.CAP_KILL), featureOwner, engine.CheckAbsent, "lacks CAP_KILL"},
		"others": {all &^ (1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_BPF | 1<<unix.CAP_MKNOD | 1<<unix.CAP_SETPCAP), "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range test.have.checks() {
				want := engine.CheckOK
				if c.Feature == test.feature {
					want = test.status
				}
				if c.Status != want || want != engine.CheckOK && (!strings.HasSuffix(c.Detail, test.names) || c.Remedy == "") {
					t.Errorf("got %+v, want %s", c, want)
				}
			}
		})
	}
}

func TestFileMax(t *testing.T) {
	for value, want := range map[string]engine.CheckStatus{
		"399680": engine.CheckAbsent, "9999999": engine.CheckAbsent, "": engine.CheckAbsent,
		"10000000": engine.CheckOK, "9223372036854775807": engine.CheckOK,
	} {
		if c := checkFileMax(value); c.Status != want || want == engine.CheckAbsent && value != "" && !strings.Contains(c.Remedy, "sysctl -w fs.file-max=") {
			t.Errorf("%q: got %+v, want %s", value, c, want)
		}
	}
}

func TestTCPMem(t *testing.T) {
	page := int64(os.Getpagesize())
	for value, want := range map[string]engine.CheckStatus{
		"1 2 99\n": engine.CheckAbsent, "": engine.CheckAbsent, "1 2 x": engine.CheckAbsent,
		"1 2 100\n": engine.CheckOK, "287898\t383865\t575796\n": engine.CheckOK,
	} {
		if c := checkTCPMem(value, 100*page); c.Status != want || value == "1 2 99\n" && c.Remedy != "sysctl -w net.ipv4.tcp_mem='100 100 200'" {
			t.Errorf("%q: got %+v, want %s", value, c, want)
		}
	}
}
