package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxRuleText bounds, in bytes, what ParseRule reads: a rule is one line.
const maxRuleText = 4096

// String returns the range as it is written in a rule: "443" or "8000-8100".
func (r PortRange) String() string {
	first := strconv.Itoa(int(r.First))
	if r.First == r.Last {
		return first
	}
	return first + "-" + strconv.Itoa(int(r.Last))
}

// ParsePorts reads one port ("443") or one range of ports ("8000-8100").
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
		return 0, strconv.ErrSyntax // ParseUint takes a sign
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// ParseCIDR reads a range of addresses. One address alone is the range that holds it.
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

// String returns the rule as it is written in a tool's file, as a YAML flow mapping:
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
	return "{" + strings.Join(parts, ", ") + "}"
}

// Label returns the rule in the short form of decisions and audit lines: "host *.slack.com:443",
// "cidr 10.0.0.0/8:5432,8000-8100 tcp", "host db.example.com cidr 10.1.2.3/32".
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
	return b.String()
}

// bracket sets text with colons apart from the port after it, as URLs do (RFC 3986 section 3.2.2).
func bracket(s string) string {
	if strings.Contains(s, ":") {
		return "[" + s + "]"
	}
	return s
}

// ParseRule reads a rule in any of its text forms and validates it: the flow mapping of [Rule.String] (quotes are
// optional, JSON will do), the short form of [Rule.Label], or that form without its words, as on a command line:
// "api.example.com:443", "10.0.0.0/8". Host names come out in lower case.
func ParseRule(s string) (Rule, error) {
	if len(s) > maxRuleText {
		return Rule{}, fmt.Errorf("rule of %d bytes is too long; at most %d are allowed", len(s), maxRuleText)
	}
	var r Rule
	var err error
	if text := strings.TrimSpace(s); strings.HasPrefix(text, "{") {
		r, err = parseFlow(text)
	} else {
		r, err = parseLabel(text)
	}
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return Rule{}, fmt.Errorf("parse egress rule %q: %w", s, err)
	}
	return r, nil
}

func parseLabel(s string) (Rule, error) {
	var r Rule
	if strings.Contains(s, "://") {
		return r, validHost(s)
	}
	words := strings.Fields(s)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch Protocol(word) {
		case TCP, UDP, ICMP:
			if r.Protocol != "" {
				return r, errors.New("two protocols are given")
			}
			r.Protocol = Protocol(word)
			continue
		}
		kind := ""
		if word == "host" || word == "cidr" {
			kind = word
			if i++; i == len(words) {
				return r, fmt.Errorf("nothing follows %q", kind)
			}
			word = words[i]
		}
		if err := r.addPlace(kind, word); err != nil {
			return r, err
		}
	}
	return r, nil
}

// addPlace reads "NAME:PORTS", where NAME is a host or a CIDR, in brackets where it has colons of its own.
func (r *Rule) addPlace(kind, word string) error {
	if len(r.Ports) > 0 {
		return errors.New("ports come after the host and the cidr")
	}
	name, ports := word, ""
	if rest, ok := strings.CutPrefix(word, "["); ok {
		var closed bool
		if name, rest, closed = strings.Cut(rest, "]"); !closed {
			return errors.New(`"[" is not closed`)
		}
		if rest != "" && rest[0] != ':' {
			return fmt.Errorf("%q follows the bracket; only a colon and ports may", rest)
		}
		ports = rest
	} else if i := strings.IndexByte(word, ':'); i >= 0 && strings.Count(word, ":") == 1 {
		name, ports = word[:i], word[i:]
	}
	if ports != "" {
		for part := range strings.SplitSeq(ports[1:], ",") {
			p, err := ParsePorts(part)
			if err != nil {
				return err
			}
			r.Ports = append(r.Ports, p)
		}
	}
	if kind == "" {
		kind = "host"
		if strings.Contains(name, "/") {
			kind = "cidr"
		}
	}
	return r.set(kind, name)
}

// set gives the rule its host, cidr or protocol, once.
func (r *Rule) set(key, value string) error {
	switch key {
	case "host":
		if r.Host != "" {
			return errors.New("two hosts are given")
		}
		r.Host = strings.ToLower(value)
		return validHost(r.Host)
	case "cidr":
		if r.CIDR.IsValid() {
			return errors.New("two cidrs are given")
		}
		var err error
		r.CIDR, err = ParseCIDR(value)
		return err
	case "protocol":
		if r.Protocol != "" {
			return errors.New("two protocols are given")
		}
		r.Protocol = Protocol(value)
		return nil
	}
	return fmt.Errorf("unknown key %q; the keys are host, cidr, ports and protocol", key)
}

// wireRule is the JSON form of a Rule. Ports are numbers, or strings where they are ranges.
type wireRule struct {
	Host     string   `json:"host,omitempty"`
	CIDR     string   `json:"cidr,omitempty"`
	Ports    []any    `json:"ports,omitempty"`
	Protocol Protocol `json:"protocol,omitempty"`
}

// MarshalJSON writes the rule with the keys that it has in a tool's file.
func (r Rule) MarshalJSON() ([]byte, error) {
	w := wireRule{Host: r.Host, Protocol: r.Protocol}
	if r.CIDR.IsValid() {
		w.CIDR = r.CIDR.String()
	}
	for _, p := range r.Ports {
		if p.First == p.Last {
			w.Ports = append(w.Ports, p.First)
		} else {
			w.Ports = append(w.Ports, p.String())
		}
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown keys and rules that aren't valid.
func (r *Rule) UnmarshalJSON(data []byte) error {
	rule, err := parseFlow(string(data))
	if err == nil {
		err = rule.Validate()
	}
	if err != nil {
		return fmt.Errorf("decode egress rule: %w", err)
	}
	*r = rule
	return nil
}
