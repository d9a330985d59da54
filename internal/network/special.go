package network

import "net/netip"

// Which addresses are special is written as switches on the octets and not as tables of prefixes: Decide runs for each
// packet flow of each sandbox, and a switch costs nothing and can't be altered at run time.

// never names the class of addresses, if any, that no policy can open, for one address that is already unmapped.
//
// The metadata services are the reason for most of it: they hand the machine's own cloud credentials to whoever asks
// from the right place, and a sandbox that dials through the machine is in the right place.
func never(a netip.Addr) (class string, ok bool) {
	if a.Is4() {
		return never4(a.As4())
	}
	b := a.As16()
	switch {
	case a.IsUnspecified():
		return "unspecified address", true
	case a.IsLoopback():
		return "loopback", true
	case b[0] == 0xfe && b[1]&0xc0 == 0x80: // fe80::/10, RFC 4291 section 2.5.6
		return "link-local", true
	case b[0] == 0xff: // ff00::/8, RFC 4291 section 2.7
		return "multicast", true
	case a == metadataAWS(), a == credentialsAWS(), a == metadataGCP():
		return "cloud metadata", true
	}
	return "", false
}

func never4(b [4]byte) (class string, ok bool) {
	switch {
	case b[0] == 0: // RFC 1122 section 3.2.1.3; Linux dials its own loopback for 0.0.0.0
		return "unspecified address", true
	case b[0] == 127:
		return "loopback", true
	case b[0] == 169 && b[1] == 254: // RFC 3927; 169.254.169.254 is the metadata service of most clouds
		return "link-local", true
	case b == [4]byte{100, 100, 100, 200}: // Alibaba Cloud
		return "cloud metadata", true
	case b == [4]byte{168, 63, 129, 16}: // Azure's WireServer, which hands out a machine's configuration
		return "cloud metadata", true
	case b[0]&0xf0 == 224: // RFC 5771
		return "multicast", true
	case b == [4]byte{255, 255, 255, 255}: // RFC 919
		return "broadcast", true
	}
	return "", false
}

// metadataAWS is fd00:ec2::254, the instance metadata service over IPv6.
func metadataAWS() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54})
}

// credentialsAWS is fd00:ec2::23, where EKS hands out the credentials of a Pod's identity.
func credentialsAWS() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 15: 0x23})
}

// metadataGCP is fd20:ce::254, the metadata server over IPv6.
func metadataGCP() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 14: 0x02, 15: 0x54})
}

// public reports whether an unmapped address is globally reachable in the sense of the IANA special-purpose address
// registries (RFC 6890, https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 sibling).
//
// One deviation is on purpose: the documentation networks 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and
// 2001:db8::/32 count as public. Nobody can run a private network on them, and the tests of Mayfly and of tools use
// them in the place of public servers.
func public(a netip.Addr) bool {
	if a.Is4() {
		return public4(a.As4())
	}
	b := a.As16()
	switch {
	case isNAT64(b): // reachable as far as the IPv4 address in it is, which is judged beside it
		return true
	case b[0]&0xe0 != 0x20: // outside 2000::/3, the only global unicast space handed out (RFC 4291 section 2.4)
		return false
	case b[0] == 0x3f && b[1] == 0xff && b[2]&0xf0 == 0: // 3fff::/20, documentation, RFC 9637
		return false
	case b[0] == 0x20 && b[1] == 0x01 && b[2]&0xfe == 0: // 2001::/23, IETF protocol assignments, RFC 2928
		return public2001(b)
	}
	return true
}

// public2001 picks the globally reachable assignments out of 2001::/23.
func public2001(b [16]byte) bool {
	switch group := uint16(b[2])<<8 | uint16(b[3]); {
	case group == 1: // 2001:1::1 to ::3, anycast for PCP, TURN and DNS-SD registration
		rest := b[4:15]
		for _, octet := range rest {
			if octet != 0 {
				return false
			}
		}
		return b[15] >= 1 && b[15] <= 3
	case group == 3: // AMT, RFC 7450
		return true
	case group == 4: // AS112-v6, 2001:4:112::/48, RFC 7535
		return b[4] == 0x01 && b[5] == 0x12
	case group&0xfff0 == 0x20, group&0xfff0 == 0x30: // ORCHIDv2, RFC 7343; DRIP, RFC 9374
		return true
	}
	return false
}

func public4(b [4]byte) bool {
	switch {
	case b[0] == 10, // RFC 1918
		b[0] == 172 && b[1]&0xf0 == 16,
		b[0] == 192 && b[1] == 168:
		return false
	case b[0] == 100 && b[1]&0xc0 == 64: // carrier-grade NAT, RFC 6598
		return false
	case b[0] == 192 && b[1] == 0 && b[2] == 0: // IETF protocol assignments; .9 and .10 are global anycast
		return b[3] == 9 || b[3] == 10
	case b[0] == 198 && b[1]&0xfe == 18: // benchmarking, RFC 2544
		return false
	case b[0] >= 240: // reserved, RFC 1112 section 4
		return false
	}
	_, forbidden := never4(b)
	return !forbidden
}

// isNAT64 reports whether b lies in the well-known prefix 64:ff9b::/96 (RFC 6052 section 2.1).
func isNAT64(b [16]byte) bool {
	return [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b}
}

// embedded returns the IPv4 addresses that a, unmapped, would be delivered to where the network on the way translates
// or tunnels: an IPv6 spelling must not reach what the IPv4 spelling may not. Where the translator's set-up decides
// between several readings, all are returned.
func embedded(a netip.Addr) (found [4]netip.Addr, n int) {
	if !a.Is6() {
		return found, 0
	}
	b := a.As16()
	add := func(i0, i1, i2, i3 int) {
		found[n] = netip.AddrFrom4([4]byte{b[i0], b[i1], b[i2], b[i3]})
		n++
	}
	switch {
	case isNAT64(b):
		add(12, 13, 14, 15)
	case [6]byte(b[:6]) == [6]byte{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}:
		// 64:ff9b:1::/48 is for local translators (RFC 8215), whose prefix may be any of these lengths; all but the
		// longest spread the address around octet 8 (RFC 6052 section 2.2). A reading that gives 0.0.0.0/8 is no
		// address that anything could be delivered to, only a sign that the prefix has another length.
		for _, at := range [4][4]int{{12, 13, 14, 15}, {9, 10, 11, 12}, {7, 9, 10, 11}, {6, 7, 9, 10}} {
			if b[at[0]] != 0 {
				add(at[0], at[1], at[2], at[3])
			}
		}
	case b[0] == 0x20 && b[1] == 0x02: // 6to4, RFC 3056 section 2
		add(2, 3, 4, 5)
	case [12]byte(b[:12]) == [12]byte{8: 0xff, 9: 0xff}: // IPv4-translated ::ffff:0:a.b.c.d, RFC 2765
		add(12, 13, 14, 15)
	case [12]byte(b[:12]) == [12]byte{} && !a.IsLoopback() && !a.IsUnspecified(): // IPv4-compatible, RFC 4291 2.5.5.1
		add(12, 13, 14, 15)
	}
	return found, n
}
