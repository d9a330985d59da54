package network

import "net/netip"

// embedded has the IPv4 addresses inside an IPv6 address.
type embedded struct {
	addrs [6][4]byte
	n     int
	// isatap says that the interface identifier embeds an address (ISATAP), which it can do after any prefix.
	isatap bool
}

func (e *embedded) all() [][4]byte { return e.addrs[:e.n] }

// embeddedIn returns the IPv4 addresses that a packet to a would reach if the network translates or tunnels it. a must be
// unmapped. The IPv6 form of an address must not reach what its IPv4 form may not. embeddedIn returns all addresses if more
// than one machine is involved, or if the reading depends on how the translator is set up.
func embeddedIn(a netip.Addr) (e embedded) {
	if !a.Is6() {
		return e
	}
	b := a.As16()
	add := func(i0, i1, i2, i3 int, mask byte) {
		e.addrs[e.n] = [4]byte{b[i0] ^ mask, b[i1] ^ mask, b[i2] ^ mask, b[i3] ^ mask}
		e.n++
	}
	switch {
	case isNAT64(b):
		add(12, 13, 14, 15, 0)
	case [6]byte(b[:6]) == [6]byte{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}:
		// 64:ff9b:1::/48 is for local translators (RFC 8215), whose prefix may have any of these lengths. All except
		// the longest put the address around octet 8 (RFC 6052 section 2.2). Nothing can be delivered to an address in
		// 0.0.0.0/8: a reading that gives one means that the prefix has another length.
		for _, at := range [4][4]int{{12, 13, 14, 15}, {9, 10, 11, 12}, {7, 9, 10, 11}, {6, 7, 9, 10}} {
			if b[at[0]] != 0 {
				add(at[0], at[1], at[2], at[3], 0)
			}
		}
		if e.n == 0 {
			add(12, 13, 14, 15, 0) // there is no other reading
		}
	case b[0] == 0x20 && b[1] == 0x02: // 6to4 (RFC 3056 section 2)
		add(2, 3, 4, 5, 0)
	case [4]byte(b[:4]) == [4]byte{0x20, 0x01}: // Teredo (RFC 4380 section 4): the server, and the client with its bits flipped
		add(4, 5, 6, 7, 0)
		add(12, 13, 14, 15, 0xff)
	case [12]byte(b[:12]) == [12]byte{8: 0xff, 9: 0xff}: // IPv4-translated, ::ffff:0:a.b.c.d (RFC 2765)
		add(12, 13, 14, 15, 0)
	case [12]byte(b[:12]) == [12]byte{} && !a.IsLoopback() && !a.IsUnspecified(): // IPv4-compatible (RFC 4291 section 2.5.5.1)
		add(12, 13, 14, 15, 0)
	}
	if isISATAP(b) {
		e.isatap = true
		add(12, 13, 14, 15, 0)
	}
	return e
}

// isNAT64 reports whether b is in the well-known prefix 64:ff9b::/96 (RFC 6052 section 2.1).
func isNAT64(b [16]byte) bool {
	return [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b}
}

// isISATAP reports whether b ends with an ISATAP interface identifier, 0:5efe:a.b.c.d or 200:5efe:a.b.c.d
// (RFC 5214 section 6.1).
func isISATAP(b [16]byte) bool {
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
