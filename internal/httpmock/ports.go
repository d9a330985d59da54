package httpmock

import (
	"math"
	"net/netip"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// Loopback returns the ports of the sandbox's own loopback that the mocks may answer: the ports of mocks without a host or
// for localhost, and all ports if such a mock has no port.
func Loopback(mocks []suite.HTTPMock) []network.PortRange {
	var ports []network.PortRange
	seen := map[uint16]bool{}
	for i := range mocks {
		m := &mocks[i]
		switch {
		case !isLocal(m.Host):
		case m.Port == 0:
			return []network.PortRange{{First: 1, Last: math.MaxUint16}}
		case !seen[m.Port]:
			seen[m.Port] = true
			ports = append(ports, network.Port(m.Port))
		}
	}
	return ports
}

// isLocal reports whether a mock's host may be the sandbox itself.
func isLocal(m *suite.Matcher) bool {
	if m == nil || m.Match("localhost") || m.Match("127.0.0.1") || m.Match("::1") {
		return true
	}
	name, _ := m.Exact()
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}
