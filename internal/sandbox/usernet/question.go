package usernet

import (
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// questionKey is equal for two questions that are reported only once.
type questionKey struct {
	name string
	kind dnsmessage.Type
}

// reportQuestion reports a question about records other than addresses, only
// once, as a connection with the protocol "dns". The report of a question that
// isn't asked upstream has the rule to add. Other questions are reported too, so
// that the list of rules that a run needed is complete. Questions about addresses
// aren't reported, because connections follow them.
//
// Questions about the names of addresses (PTR) aren't reported either: programs
// ask them without need, only to print the names.
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

// typeText returns a type in the form of zone files; a type without a name as in
// RFC 3597 section 5.
func typeText(t dnsmessage.Type) string {
	if name, ok := strings.CutPrefix(t.String(), "Type"); ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}
