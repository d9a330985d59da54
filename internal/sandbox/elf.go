package sandbox

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// elfProgram is what must be known of a program before it starts.
type elfProgram struct {
	machine elf.Machine
	loader  string // its dynamic loader (elf(5), PT_INTERP), or ""
}

// Linux's limits of program headers (binfmt_elf: a page), and of the length of
// the loader's name (PATH_MAX).
const (
	maxELFHeaders = 1024
	maxELFLoader  = 4096
)

// readELF reads only the two headers that matter, within Linux's limits. The
// file is as hostile as the rest of the image, and elf.NewFile reads whole
// tables of the size that the file states.
func readELF(f io.ReaderAt) (elfProgram, error) {
	var ident [elf.EI_NIDENT]byte
	if _, err := f.ReadAt(ident[:], 0); err != nil {
		return elfProgram{}, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	// The machine has the same offset in both classes.
	var kind struct{ Type, Machine uint16 }
	if err := binary.Read(io.NewSectionReader(f, elf.EI_NIDENT, 4), order, &kind); err != nil {
		return elfProgram{}, err
	}
	p := elfProgram{machine: elf.Machine(kind.Machine)}
	if elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return p, nil // Mayfly runs on no 32-bit machine
	}
	var header elf.Header64
	if err := binary.Read(io.NewSectionReader(f, 0, int64(binary.Size(header))), order, &header); err != nil {
		return p, err
	}
	if header.Phnum > maxELFHeaders {
		return p, errors.New("it has too many program headers")
	}
	segments := make([]elf.Prog64, header.Phnum)
	table := io.NewSectionReader(f, int64(header.Phoff), int64(binary.Size(segments)))
	if err := binary.Read(table, order, segments); err != nil {
		return p, err
	}
	for _, s := range segments {
		if elf.ProgType(s.Type) != elf.PT_INTERP {
			continue
		}
		if s.Filesz > maxELFLoader {
			return p, errors.New("the name of its loader is too long")
		}
		name := make([]byte, s.Filesz)
		if _, err := f.ReadAt(name, int64(s.Off)); err != nil {
			return p, err
		}
		p.loader = strings.TrimRight(string(name), "\x00")
	}
	return p, nil
}
