// Package networktest parses short egress rules for tests, and makes network namespaces for them.
package networktest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mayfly-run/mayfly/internal/network"
)

// ParseRule parses and validates a rule, either as in a tool's file, which is the output of [network.Rule.String], or in the
// short form of [network.Rule.Label], where the words host and cidr are optional: "api.example.com:443", "10.0.0.0/8".
func ParseRule(text string) (r network.Rule, err error) {
	if strings.HasPrefix(text, "{") {
		r, err = parseYAML(text)
	} else {
		r, err = parseLabel(text)
	}
	if err != nil {
		return network.Rule{}, err
	}
	return r, r.Validate()
}

func parseYAML(text string) (network.Rule, error) {
	var f struct {
		Host, CIDR string
		Ports      []string
		Protocol   network.Protocol
		DNS        []string
	}
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		return network.Rule{}, err
	}
	r := network.Rule{Host: f.Host, Protocol: f.Protocol, DNS: f.DNS}
	if err := addPorts(&r, f.Ports); err != nil || f.CIDR == "" {
		return r, err
	}
	var err error
	r.CIDR, err = network.ParseCIDR(f.CIDR)
	return r, err
}

func parseLabel(text string) (r network.Rule, err error) {
	text, suffixes, dns := strings.Cut(" "+text, " dns ")
	if dns {
		r.DNS = strings.Split(suffixes, ",")
	}
	for _, word := range strings.Fields(text) {
		switch word {
		case "host", "cidr":
			continue
		case "tcp", "udp", "icmp":
			r.Protocol = network.Protocol(word)
			continue
		}
		// A name or range with colons is in brackets if ports follow.
		name, ports := word, ""
		if rest, ok := strings.CutPrefix(word, "["); ok {
			name, ports, _ = strings.Cut(rest, "]")
			ports = strings.TrimPrefix(ports, ":")
		} else if strings.Count(word, ":") == 1 {
			name, ports, _ = strings.Cut(word, ":")
		}
		if strings.Contains(name, "/") && !strings.Contains(name, "://") {
			r.CIDR, err = network.ParseCIDR(name)
		} else {
			r.Host = strings.ToLower(name)
		}
		if err == nil && ports != "" {
			err = addPorts(&r, strings.Split(ports, ","))
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func addPorts(r *network.Rule, texts []string) error {
	for _, text := range texts {
		ports, err := network.ParsePorts(text)
		if err != nil {
			return err
		}
		r.Ports = append(r.Ports, ports)
	}
	return nil
}
