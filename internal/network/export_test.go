package network

import "net/netip"

// The tests are in another package, since networktest imports this one. They need these identifiers.
var (
	IsAddress   = isAddress
	UnmapPrefix = unmapPrefix
)

// Special is a line of the table of special addresses.
type Special struct {
	Prefix netip.Prefix
	Class  string
	Source string
	Opened bool // a policy may open it
}

// Specials returns the table of special addresses.
func Specials() (out []Special) {
	for _, s := range specials() {
		out = append(out, Special{netip.MustParsePrefix(s.prefix), string(s.class), s.source, s.class.opened()})
	}
	return out
}
