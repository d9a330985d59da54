package usernet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

// sharedHosts has names that share addresses, as in a content delivery network.
var sharedHosts = map[string][]string{
	"a.example": {"203.0.113.1"}, "b.example": {"203.0.113.1", "203.0.113.2"}, "c.example": {"203.0.113.2"},
	"d.example": {"203.0.113.1"}, "private.example": {"10.1.2.3"}, "six.example": {"2001:db8::1"}, "bad_.example": {"203.0.113.3"},
}

// round is a part of a run: lookups of some names, and then one connection for
// each name to an address that all of them have; or one connection to an address
// without a name.
type round struct {
	names    []string
	addr     netip.Addr
	services []service
}

type service struct {
	port     uint16
	protocol network.Protocol
}

func rounds() *rapid.Generator[round] {
	services := rapid.Custom(func(t *rapid.T) service {
		s := service{protocol: rapid.SampledFrom([]network.Protocol{network.TCP, network.UDP, network.ICMP}).Draw(t, "protocol")}
		if s.protocol != network.ICMP {
			s.port = rapid.SampledFrom([]uint16{53, 80, 443}).Draw(t, "port")
		}
		return s
	})
	return rapid.Custom(func(t *rapid.T) round {
		var r round
		address := rapid.SampledFrom([]string{"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.9", "10.1.2.3", "10.9.9.9", "2001:db8::1", "2001:db8::9"}).Draw(t, "address")
		r.addr = netip.MustParseAddr(address)
		var of []string
		for name, list := range sharedHosts {
			if slices.Contains(list, address) {
				of = append(of, name)
			}
		}
		slices.Sort(of)
		if len(of) > 0 {
			r.names = rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, "names")
		}
		count := max(1, len(r.names))
		r.services = rapid.SliceOfN(services, count, count).Draw(t, "services")
		return r
	})
}

// play applies a policy to a run, and returns the rules that are suggested for it.
func play(p network.Policy, run []round) (rules []network.Rule, err error) {
	n := &Network{cfg: Config{Policy: p, Resolver: &fakeResolver{hosts: sharedHosts}}, names: newNames()}
	n.local.read = func() ([]netip.Addr, error) { return nil, nil }
	for _, r := range run {
		for _, name := range r.names {
			for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
				n.resolve(context.Background(), dnsmessage.Question{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET})
			}
			if !p.Resolves(name, network.Addresses) {
				return nil, fmt.Errorf("%s isn't looked up", name)
			}
		}
		for _, s := range r.services {
			target := n.decide(r.addr, s.port, s.protocol)
			c := n.connection(&target)
			if !c.Allowed {
				return nil, errors.New(c.Reason)
			}
			rule, err := networktest.ParseRule(c.Suggest)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", c.Suggest, err)
			}
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

// TestSuggestionsAllowTheRun: the rules that are suggested for an allowed run are
// a list that allows the same run.
func TestSuggestionsAllowTheRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := rapid.SliceOfN(rounds(), 1, 8).Draw(t, "run")
		rules, err := play(network.Policy{Mode: network.ModeOpen}, run)
		if err != nil {
			t.Fatal(err)
		}
		list := network.Policy{Mode: network.ModeList, Egress: rules}
		if err := list.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := play(list, run); err != nil {
			var text []string
			for _, r := range rules {
				text = append(text, r.String())
			}
			t.Fatalf("%v, with %s", err, strings.Join(text, " "))
		}
	})
}

// TestSuggestionsAreNarrow: no suggested rule allows more than what was used.
func TestSuggestionsAreNarrow(t *testing.T) {
	run := []round{{names: []string{"a.example"}, addr: netip.MustParseAddr("203.0.113.1"), services: []service{{443, network.TCP}, {53, network.UDP}, {0, network.ICMP}}}}
	rules, err := play(network.Policy{Mode: network.ModeOpen}, run)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{host: "a.example", ports: [443]}`, `{host: "a.example", ports: [53], protocol: udp}`, `{host: "a.example", protocol: icmp}`,
	} {
		if got := rules[i].String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
