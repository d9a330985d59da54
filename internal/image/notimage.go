package image

import (
	"bytes"
	"unicode/utf8"
)

// signatures are the first bytes of other kinds of files that users may give instead of an image.
var signatures = []struct {
	at    int
	bytes string
	what  string
}{
	{0, "PK\x03\x04", "a zip archive"},
	{0, "PK\x05\x06", "an empty zip archive"},
	{0, "\x7fELF", "a program"},
	{0, "QFI\xfb", "a virtual machine's disk (QCOW2)"},
	{0, "KDMV", "a virtual machine's disk (VMDK)"},
	{0, "conectix", "a virtual machine's disk (VHD)"},
	{0, "vhdxfile", "a virtual machine's disk (VHDX)"},
	{0, "hsqs", "a squashfs file system"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{0, "Rar!\x1a\x07", "a rar archive"},
	{0, "!<arch>\n", "a Debian package or another ar archive"},
	{0, "\xed\xab\xee\xdb", "an RPM package"},
	{0, "070701", "a cpio archive"},
	{0, "\x04\x22\x4d\x18", "a file compressed with lz4"},
	{32, "SIF_MAGIC", "a Singularity image (SIF)"},
	{510, "\x55\xaa", "a disk with a boot sector"},
}

// whatIs says what kind a file is that isn't an image, from its first bytes.
func whatIs(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, s := range signatures {
		if s.at <= len(head) && bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			return s.what
		}
	}
	if len(head) == tarBlock && len(bytes.Trim(head, "\x00")) == 0 {
		return "an empty tar archive"
	}
	switch text := bytes.TrimSpace(head); {
	case len(text) == 0 || bytes.IndexByte(text, 0) >= 0 || !validText(text):
		return "a file of an unknown kind"
	case text[0] == '<':
		return "a web page, such as a server sends instead of a file"
	case text[0] == '{' || text[0] == '[':
		return "a JSON file"
	default:
		return "a text file"
	}
}

// validText reports whether text is UTF-8, except that its last character may be cut off.
func validText(text []byte) bool {
	for cut := range utf8.UTFMax {
		if cut < len(text) && utf8.Valid(text[:len(text)-cut]) {
			return true
		}
	}
	return false
}
