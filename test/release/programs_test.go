//go:build linux

// Package release tests what users install: the built programs, and the archives that make release writes.
package release

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

var programs = []string{"mayfly", "mayfly-cel", "mayfly-shim", "mayflyd"}

// TestProgramsAreStatic checks that the programs name no interpreter and no library, so that they run on any distribution.
func TestProgramsAreStatic(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) { isStatic(t, filepath.Join(testbed.Bin(t), name)) })
	}
}

func isStatic(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s has an interpreter", path)
		}
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s needs libraries: %v, %v", path, libraries, err)
	}
}

// maxCommand is the largest size that the command may have, in bytes: users download it first, and each run reads it.
const maxCommand = 16 << 20

func TestTheCommandIsSmall(t *testing.T) {
	info, err := os.Stat(filepath.Join(testbed.Bin(t), "mayfly"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxCommand {
		t.Errorf("mayfly has %d bytes, more than %d; heavy packages belong in mayflyd", info.Size(), maxCommand)
	}
}
