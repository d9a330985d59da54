package usernet

import (
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// questionKey is what makes two questions the same to who reads reports.
type questionKey struct {
	name string
	kind dnsmessage.Type
}

// reportQuestion reports a question about other records than addresses, once,
// as a connection of the protocol "dns": one that isn't asked with the rule to
// add, one that is so that the rules a run needed are complete. Questions about
// addresses are known by the connections that follow.
//
// The names of addresses (PTR) are not reported: programs look them up unasked,
// only to print them, and do without.
func (n *Network) reportQuestion(q dnsmessage.Question, name string) {
	if q.Type == dnsmessage.TypePTR || !n.questions.first(questionKey{name, q.Type}) {
		return
	}
	rule, ok := n.cfg.Policy.ResolvedBy(name, network.Records)
	c := engine.Connection{Host: name, Protocol: "dns", Rule: rule}
	switch {
	case !ok:
		c.Reason = fmt.Sprintf("no egress rule opens %s questions about %s", typeText(q.Type), network.HostText(name))
	case !n.looksUp(name, network.Records):
		c.Rule = "mocks"
		c.Reason = fmt.Sprintf("this test lets no %s question about %s leave the machine", typeText(q.Type), network.HostText(name))
	default:
		c.Allowed = true
	}
	if rule := network.SuggestDNS(name); rule != nil && c.Rule != "mocks" {
		c.Suggest = rule.String()
	}
	n.reportLater(c)
}

// typeText is a type as zone files have it; one without a name as in RFC 3597
// section 5.
func typeText(t dnsmessage.Type) string {
	if name, ok := strings.CutPrefix(t.String(), "Type"); ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}
