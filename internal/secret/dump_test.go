package secret

import (
	"fmt"
	"strings"
	"testing"
)

// dumpStyle is the format in which a program dumps bytes.
type dumpStyle struct {
	name   string
	group  int    // bytes in a group
	width  int    // bytes in a row
	offset string // the format of a row's offset
	end    string // between the halves of a row
	indent string // before the numbers
	chars  string // the format of the characters after the numbers
}

var dumpStyles = []dumpStyle{
	{name: "xxd", group: 2, width: 16, offset: "%08x:", indent: " ", chars: "  %s"},
	{name: "xxd -g1 -c8", group: 1, width: 8, offset: "%08x:", indent: " ", chars: "  %s"},
	{name: "hexdump -C", group: 1, width: 16, offset: "%08x", indent: "  ", end: " ", chars: "  |%s|"},
	{name: "od -tx1", group: 1, width: 16, offset: "%07o", indent: " "},
	{name: "od -An -tx1", group: 1, width: 16, indent: " "},
}

func (d dumpStyle) dump(data []byte) string {
	var b strings.Builder
	for from := 0; from < len(data); from += d.width {
		row := data[from:min(len(data), from+d.width)]
		if d.offset != "" {
			fmt.Fprintf(&b, d.offset, from)
		}
		b.WriteString(d.indent)
		var numbers, chars strings.Builder
		for i, c := range row {
			if i > 0 && i%d.group == 0 {
				numbers.WriteByte(' ')
			}
			if i == d.width/2 {
				numbers.WriteString(d.end)
			}
			fmt.Fprintf(&numbers, "%02x", c)
			if c < ' ' || c > '~' {
				c = '.'
			}
			chars.WriteByte(c)
		}
		b.WriteString(numbers.String())
		if d.chars != "" {
			b.WriteString(strings.Repeat(" ", 2*d.width+(d.width-1)/d.group+len(d.end)-numbers.Len()))
			fmt.Fprintf(&b, d.chars, chars.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestDumps puts a secret at every place of a row.
func TestDumps(t *testing.T) {
	const value = "p@ss w0rd/&%25\"x'y$z, and more of it"
	r := NewRedactor([]byte(value))
	for _, style := range dumpStyles {
		for before := range 33 {
			in := style.dump([]byte(strings.Repeat("#", before)+value)) + "next p@ss line\n"
			got := byteByByte(t, r, in)
			if one := r.String(in); one != got {
				t.Fatalf("%s: %q became %q in pieces, but %q as a whole", style.name, in, got, one)
			}
			rows := strings.Split(in, "\n")
			if !strings.HasSuffix(got, "***\nnext p@ss line\n") {
				t.Fatalf("%s after %d bytes: %q became %q", style.name, before, in, got)
			}
			// Fewer than the four bytes of a window can be left at the end of a row.
			half := style.width
			if style.end != "" {
				half /= 2
			}
			first := 0
			if room := half - before%half; room < rowBytes {
				first = room
			}
			for i := range len(value) - first - 1 {
				hex := fmt.Sprintf("%02x%02x", value[first+i], value[first+i+1])
				if strings.Contains(strings.ReplaceAll(got, " ", ""), hex) || strings.Contains(strings.TrimSuffix(got, rows[len(rows)-2]+"\n"), value[first+i:][:2]) {
					t.Fatalf("%s after %d bytes: %q is in %q", style.name, before, value[first+i:][:2], got)
				}
			}
		}
	}
}

func TestTheRestOfARowIsBounded(t *testing.T) {
	r := NewRedactor([]byte("p@ss w0rd"))
	long := strings.Repeat("z", 500)
	got := byteByByte(t, r, "70 40 73 73 "+long)
	if !strings.HasPrefix(got, Mask+"z") || len(got) < 400 {
		t.Errorf("got %q, want a mask and then most of the row", got)
	}
}
