package usernet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// target is a destination that the tool tries to reach, with the policy's decision.
type target struct {
	network.Destination
	verdict network.Decision
	dial    netip.AddrPort // the address to dial on the host
	mocked  bool           // a test's mocks answer instead
}

// decide applies the policy, and a test's mocks, to a destination.
func (n *Network) decide(addr netip.Addr, port uint16, protocol network.Protocol) target {
	t := n.judge(addr, port, protocol)
	if n.cfg.Mocks != nil {
		n.mock(&t)
	}
	return t
}

func (n *Network) judge(addr netip.Addr, port uint16, protocol network.Protocol) target {
	t := target{
		Destination: network.Destination{Address: addr, Port: port, Protocol: protocol, Names: n.names.of(addr)},
		dial:        netip.AddrPortFrom(addr, port),
	}
	switch {
	case addr == n.cfg.Gateway4 || addr == n.cfg.Gateway6:
		t.Host = true
		t.Names = []string{network.HostName}
		t.dial = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		if addr.Is6() {
			t.dial = netip.AddrPortFrom(netip.IPv6Loopback(), port)
		}
	case isStandIn(addr):
		t.Unresolved = len(t.Names) > 0
		t.verdict = n.cfg.Policy.Decide(t.Destination)
		if !t.Unresolved || t.verdict.Allowed && n.cfg.Mocks == nil { // there is no address to dial
			t.verdict = network.Decision{Rule: "built-in stand-in", Host: addr.String(), Reason: addr.String() + " stands for no name, and is not a real address"}
		}
		return t
	case addr == n.cfg.Tool4 || addr == n.cfg.Tool6 || n.local.has(addr):
		t.Local = true
	}
	t.verdict = n.cfg.Policy.Decide(t.Destination)
	return t
}

// connection returns the report of a target.
func (n *Network) connection(t *target) engine.Connection {
	c := engine.Connection{
		Host:     t.verdict.Host,
		Address:  t.Address.String(),
		Port:     t.Port,
		Protocol: string(t.Protocol),
		Allowed:  t.verdict.Allowed,
		Rule:     t.verdict.Rule,
		Reason:   t.verdict.Reason,
		Mocked:   t.mocked,
	}
	if c.Host == c.Address {
		c.Host = ""
	}
	if isStandIn(t.Address) {
		c.Address = ""
	}
	if rule := t.verdict.Suggest; rule != nil {
		c.Suggest = rule.String()
	} else if t.verdict.Allowed {
		c.Suggest = n.grant(t)
	}
	return c
}

// deny reports a denied target, but each target only once: a tool may try again
// and again. The caller doesn't wait for the report.
func (n *Network) deny(t target) {
	if n.denied.first(t.key()) {
		n.reportLater(n.connection(&t))
	}
}

// reportLater reports in another goroutine, so that the caller doesn't wait. It
// does nothing without Config.Report.
func (n *Network) reportLater(c engine.Connection) {
	if n.cfg.Report != nil {
		n.spawn(func() { n.cfg.Report(c) })
	}
}

var errTooMany = errors.New("the tool has too many connections open")

// overflow reports an allowed target that had no slot left, but each only once.
func (n *Network) overflow(t target) {
	if n.overflows.first(t.key()) {
		n.spawn(func() { n.fail(t, errTooMany) })
	}
}

// fail reports an allowed target that could not be reached.
func (n *Network) fail(t target, err error) {
	c := n.connection(&t)
	c.Reason = cause(err)
	n.cfg.Report(c)
}

// cause returns the text of an error without the addresses, which a report has
// in other fields.
func cause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

// targetKey is equal for two targets that are reported only once.
type targetKey struct {
	addr     netip.Addr
	port     uint16
	protocol network.Protocol
}

func (t *target) key() targetKey { return targetKey{t.Address, t.Port, t.Protocol} }

// once is the set of keys that were reported. It has at most maxOnce keys, so
// that a flood of connections is neither a flood of reports nor of memory.
type once[K comparable] struct {
	mu   sync.Mutex
	seen map[K]bool
}

const maxOnce = 1000

// first reports whether the key is new and the limit isn't reached.
func (o *once[K]) first(key K) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[key] || len(o.seen) >= maxOnce {
		return false
	}
	if o.seen == nil {
		o.seen = map[K]bool{}
	}
	o.seen[key] = true
	return true
}
