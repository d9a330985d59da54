package sandbox

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// elfProgram is what has to be known of a program before it is started.
type elfProgram struct {
	machine elf.Machine
	loader  string // its dynamic loader (elf(5), PT_INTERP), or ""
}

// The most program headers, and the longest loader's name, that Linux takes
// (binfmt_elf: a page, and PATH_MAX).
const (
	maxELFHeaders = 1024
	maxELFLoader  = 4096
)

// readELF reads the two headers that matter, and no more than they may be:
// the file is as hostile as the rest of the image, and elf.NewFile reads whole
// tables whose size the file itself says.
func readELF(f io.ReaderAt) (elfProgram, error) {
	var ident [elf.EI_NIDENT]byte
	if _, err := f.ReadAt(ident[:], 0); err != nil {
		return elfProgram{}, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	// Both classes have the machine at the same place.
	var kind struct{ Type, Machine uint16 }
	if err := binary.Read(io.NewSectionReader(f, elf.EI_NIDENT, 4), order, &kind); err != nil {
		return elfProgram{}, err
	}
	p := elfProgram{machine: elf.Machine(kind.Machine)}
	if elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return p, nil // its machine is another than any that Mayfly runs on
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
