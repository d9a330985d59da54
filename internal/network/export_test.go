package network

import "net/netip"

// What the tests, which are outside of the package for networktest's sake, look at inside of it.
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

// Specials is the table of special addresses.
func Specials() (out []Special) {
	for _, s := range specials() {
		out = append(out, Special{netip.MustParsePrefix(s.prefix), string(s.class), s.source, s.class.opened()})
	}
	return out
}
