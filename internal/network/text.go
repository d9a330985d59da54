package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// String returns the range as it is written in a rule: "443" or "8000-8100".
func (r PortRange) String() string {
	first := strconv.Itoa(int(r.First))
	if r.First == r.Last {
		return first
	}
	return first + "-" + strconv.Itoa(int(r.Last))
}

// ParsePorts parses a port ("443") or a range of ports ("8000-8100").
func ParsePorts(s string) (PortRange, error) {
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	a, errA := parsePort(first)
	b, errB := parsePort(last)
	if errA != nil || errB != nil {
		return PortRange{}, fmt.Errorf("port %q is not a port from 1 to 65535 or a range such as 8000-8100", s)
	}
	r := PortRange{First: a, Last: b}
	return r, r.validate()
}

func parsePort(s string) (uint16, error) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax // ParseUint would accept a sign
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// ParseCIDR parses a range of addresses ("10.0.0.0/8"). A single address is a range with one address.
func ParseCIDR(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("cidr %q is not a range of addresses such as 10.0.0.0/8", s)
	}
	if err := validCIDR(p); err != nil {
		return netip.Prefix{}, err
	}
	return unmapPrefix(p), nil
}

// String returns the rule as a YAML flow mapping, as in a tool's file:
//
//	{host: "api.example.com", ports: [443]}
func (r Rule) String() string {
	var parts []string
	if r.Host != "" {
		parts = append(parts, "host: "+strconv.Quote(r.Host))
	}
	if r.CIDR.IsValid() {
		parts = append(parts, "cidr: "+strconv.Quote(r.CIDR.String()))
	}
	if len(r.Ports) > 0 {
		items := make([]string, len(r.Ports))
		for i, p := range r.Ports {
			if items[i] = p.String(); p.First != p.Last {
				items[i] = strconv.Quote(items[i])
			}
		}
		parts = append(parts, "ports: ["+strings.Join(items, ", ")+"]")
	}
	if r.Protocol != "" {
		parts = append(parts, "protocol: "+string(r.Protocol))
	}
	if len(r.DNS) > 0 {
		items := make([]string, len(r.DNS))
		for i, suffix := range r.DNS {
			items[i] = strconv.Quote(suffix)
		}
		parts = append(parts, "dns: ["+strings.Join(items, ", ")+"]")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Label returns the rule in the short form that decisions and audit lines have: "host *.slack.com:443",
// "cidr 10.0.0.0/8:5432,8000-8100 tcp", "host db.example.com cidr 10.1.2.3/32", "cidr 10.0.0.0/8 dns corp.example.com".
func (r Rule) Label() string {
	var b strings.Builder
	if r.Host != "" {
		b.WriteString("host ")
		b.WriteString(bracket(r.Host))
	}
	if r.CIDR.IsValid() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("cidr ")
		b.WriteString(bracket(r.CIDR.String()))
	}
	for i, p := range r.Ports {
		b.WriteByte(":,"[min(i, 1)])
		b.WriteString(p.String())
	}
	if r.Protocol != "" {
		b.WriteByte(' ')
		b.WriteString(string(r.Protocol))
	}
	if len(r.DNS) > 0 {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("dns " + strings.Join(r.DNS, ","))
	}
	return b.String()
}

// bracket encloses text with colons in brackets, which separate it from a port, as in URLs (RFC 3986 section 3.2.2).
func bracket(s string) string {
	if strings.Contains(s, ":") {
		return "[" + s + "]"
	}
	return s
}

// MarshalJSON returns a single port as a number, and a range as a string.
func (r PortRange) MarshalJSON() ([]byte, error) {
	if r.First == r.Last {
		return json.Marshal(r.First)
	}
	return json.Marshal(r.String())
}

// UnmarshalJSON parses the output of MarshalJSON.
func (r *PortRange) UnmarshalJSON(data []byte) (err error) {
	*r, err = ParsePorts(strings.Trim(string(data), `"`))
	return err
}
