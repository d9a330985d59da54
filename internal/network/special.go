package network

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
)

// class is the class of an address: one of the two that a policy may open, or one of those that no policy opens.
type class string

const (
	classPublic  class = "public"  // globally reachable
	classPrivate class = "private" // every other address that a policy may open
)

// The classes that no policy opens. Metadata services are the reason for most of them: they give the machine's cloud credentials
// to every process that asks from that machine, and a sandbox dials from the machine.
const (
	classUnspecified class = "unspecified address"
	classLoopback    class = "loopback"
	classLinkLocal   class = "link-local"
	classSiteLocal   class = "site-local"
	classMulticast   class = "multicast"
	classBroadcast   class = "broadcast"
	classMetadata    class = "cloud metadata"
)

// opened reports whether a policy may open addresses of the class.
func (c class) opened() bool { return c == classPublic || c == classPrivate }

// article returns the indefinite article of the class's name.
func (c class) article() string {
	if c == classUnspecified {
		return "an"
	}
	return "a"
}

// special is a range of addresses whose class differs from the range around it.
type special struct {
	prefix string
	class  class
	source string // the document that says so
}

// specials returns the table of special addresses. The longest prefix that contains an address decides its class. Public and
// private follow the column "Globally Reachable" of the IANA special-purpose address registries (RFC 6890,
// https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 sibling).
//
// There is one deliberate deviation: the documentation networks 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and
// 2001:db8::/32 count as public. They can't be private networks, and the tests of Mayfly and of tools use them instead of
// public servers.
func specials() []special {
	return []special{
		{"0.0.0.0/0", classPublic, "RFC 6890"},
		{"0.0.0.0/8", classUnspecified, "RFC 1122 section 3.2.1.3"}, // Linux dials the loopback for 0.0.0.0
		{"10.0.0.0/8", classPrivate, "RFC 1918"},
		{"100.64.0.0/10", classPrivate, "RFC 6598"},
		{"100.96.0.96/32", classMetadata, "https://docs.byteplus.com/en/docs/ecs/Viewing-instance-metadata"}, // Volcengine has it too
		{"100.100.100.200/32", classMetadata, "https://www.alibabacloud.com/help/en/ecs/user-guide/overview-of-ecs-instance-metadata"},
		{"127.0.0.0/8", classLoopback, "RFC 1122 section 3.2.1.3"},
		{"168.63.129.16/32", classMetadata, "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16"},
		{"169.254.0.0/16", classLinkLocal, "RFC 3927"}, // 169.254.169.254 is the metadata service of most clouds
		{"172.16.0.0/12", classPrivate, "RFC 1918"},
		{"192.0.0.0/24", classPrivate, "RFC 6890 section 2.2.2"},
		{"192.0.0.9/32", classPublic, "RFC 7723"},
		{"192.0.0.10/32", classPublic, "RFC 8155"},
		{"192.0.0.192/32", classMetadata, "https://docs.oracle.com/en/cloud/iaas/compute-iaas-cloud/stcsg/retrieving-instance-metadata.html"},
		{"192.168.0.0/16", classPrivate, "RFC 1918"},
		{"198.18.0.0/15", classPrivate, "RFC 2544"},
		{"224.0.0.0/4", classMulticast, "RFC 5771"},
		{"240.0.0.0/4", classPrivate, "RFC 1112 section 4"},
		{"255.255.255.255/32", classBroadcast, "RFC 919"},

		{"::/0", classPrivate, "RFC 4291 section 2.4"}, // only 2000::/3 is allocated as global unicast
		{"2000::/3", classPublic, "RFC 4291 section 2.4"},
		{"::/128", classUnspecified, "RFC 4291 section 2.5.2"},
		{"::1/128", classLoopback, "RFC 4291 section 2.5.3"},
		{"64:ff9b::/96", classPublic, "RFC 6052 section 2.1"}, // the embedded IPv4 address must be public too
		{"2001::/23", classPrivate, "RFC 2928"},
		{"2001:1::1/128", classPublic, "RFC 7723"},
		{"2001:1::2/128", classPublic, "RFC 8155"},
		{"2001:1::3/128", classPublic, "RFC 9665"},
		{"2001:3::/32", classPublic, "RFC 7450"},
		{"2001:4:112::/48", classPublic, "RFC 7535"},
		{"2001:20::/28", classPublic, "RFC 7343"},
		{"2001:30::/28", classPublic, "RFC 9374"},
		{"3fff::/20", classPrivate, "RFC 9637"},
		{"fd00:42::42/128", classMetadata, "https://docs.cloud-init.io/en/latest/reference/datasources/scaleway.html"},
		{"fd00:a9fe:a9fe::1/128", classMetadata, "https://docs.cloud-init.io/en/latest/reference/datasources/akamai.html"},
		{"fd00:c1::a9fe:a9fe/128", classMetadata, "https://github.com/oracle/oci-python-sdk/blob/master/src/oci/auth/signers/instance_principals_security_token_signer.py"},
		// The whole range, since it has more than metadata: ::23 gives out the credentials of a Pod's identity.
		{"fd00:ec2::/32", classMetadata, "https://docs.aws.amazon.com/whitepapers/latest/ipv6-on-aws/supporting-amazon-vpc-services.html"},
		{"fd00:100::100:200/128", classMetadata, "https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/DataSourceAliYun.py"},
		{"fd20:ce::254/128", classMetadata, "https://cloud.google.com/compute/docs/metadata/querying-metadata"},
		{"fe80::/10", classLinkLocal, "RFC 4291 section 2.5.6"},
		// Deprecated: a machine that still has such an address is on this machine's own network.
		{"fec0::/10", classSiteLocal, "RFC 3879"},
		{"ff00::/8", classMulticast, "RFC 4291 section 2.7"},
	}
}

// line4 and line6 are lines of the table, prepared for comparison: an address is in the range if address&mask == bits. In line6
// the high and low 64 bits are separate.
type line4 struct {
	bits, mask uint32
	class      class
}

type line6 struct {
	high, highMask, low, lowMask uint64
	class                        class
}

// index has the lines that can contain an address, by the first octet of the address, longest prefix first. So a look-up compares
// only a few lines. Decide runs for each packet flow of each sandbox.
type index struct {
	v4 [256][]line4
	v6 [256][]line6
}

var byOctet = sync.OnceValue(func() *index {
	table := specials()
	length := func(s special) int { return netip.MustParsePrefix(s.prefix).Bits() }
	slices.SortStableFunc(table, func(a, b special) int { return length(b) - length(a) })
	x := &index{}
	for _, s := range table {
		p := netip.MustParsePrefix(s.prefix)
		first := int(p.Addr().AsSlice()[0])
		for o := first; o < first+1<<max(8-p.Bits(), 0); o++ {
			if p.Addr().Is4() {
				b := p.Addr().As4()
				x.v4[o] = append(x.v4[o], line4{binary.BigEndian.Uint32(b[:]), ^uint32(0) << (32 - p.Bits()), s.class})
				continue
			}
			high, low := halves(p.Addr().As16())
			x.v6[o] = append(x.v6[o], line6{
				high, ^uint64(0) << max(64-p.Bits(), 0), low, ^uint64(0) << (128 - max(p.Bits(), 64)), s.class,
			})
		}
	}
	return x
})

func halves(b [16]byte) (high, low uint64) {
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// classOf returns the class of an unmapped address.
func classOf(a netip.Addr) class {
	if a.Is4() {
		return classOf4(a.As4())
	}
	b := a.As16()
	high, low := halves(b)
	lines := byOctet().v6[b[0]]
	for i := range lines {
		if l := &lines[i]; high&l.highMask == l.high && low&l.lowMask == l.low {
			return l.class
		}
	}
	return classPrivate // not reached: ::/0 is in the table
}

func classOf4(b [4]byte) class {
	bits := binary.BigEndian.Uint32(b[:])
	lines := byOctet().v4[b[0]]
	for i := range lines {
		if l := &lines[i]; bits&l.mask == l.bits {
			return l.class
		}
	}
	return classPrivate // not reached: 0.0.0.0/0 is in the table
}
