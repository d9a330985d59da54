package usernet

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// The stack's sender stands still for ever in one case, which Linux's receivers
// (6.17 and later: always; earlier: rarely) bring about when a tool reads slowly:
//
//	stack                                  tool's kernel
//	  │── segment of 65,480 bytes ──────────▶│ drops it: no memory
//	  │◀───────────────── ACK, window 0 ─────│
//	  │── probes the window ────────────────▶│
//	  │◀───────────────── ACK, window 40,000 │ the tool has read some, and later all of the rest
//	  │   the segment doesn't fit, and as it is outstanding, it isn't split
//	  ✕   no timer runs any more            ✕  the kernel announces a window again only when it doubles
//
// A path with a smaller MTU makes the sender split what is outstanding, so it is
// told of one (RFC 1191).

// stallTime is how long a sender that lost a segment may do nothing. A sender
// that waits for its next attempt also does nothing, so the MTU is divided by
// mtuStep only.
const (
	stallTime = time.Second
	mtuStep   = 4
	smallMTU  = 296 // RFC 1191, section 7: the smallest MTU of real links
)

// revive watches a connection until it is closed, and makes its sender go on.
func (n *Network) revive(ep tcpip.Endpoint) {
	mtu, timeouts := n.cfg.MTU, uint64(0)
	var timer *time.Timer
	timer = time.AfterFunc(time.Hour, func() {
		var info tcpip.TCPInfoOption
		stats, ok := ep.Stats().(*tcp.Stats)
		if n.ctx.Err() != nil || !ok || ep.GetSockOpt(&info) != nil || closed(tcp.EndpointState(info.State)) {
			return
		}
		before := timeouts
		timeouts = stats.SendErrors.Timeouts.Value()
		if info.CcState == tcpip.RTORecovery && timeouts == before && mtu > smallMTU {
			mtu = max(mtu/mtuStep, smallMTU)
			ep.(stack.TransportEndpoint).HandleError(&tooBig{mtu: mtu}, nil)
		}
		timer.Reset(stallTime)
	})
	timer.Reset(stallTime)
}

func closed(s tcp.EndpointState) bool {
	return s == tcp.StateClose || s == tcp.StateError || s == tcp.StateTimeWait
}

// tooBig says that a packet didn't fit into the MTU of the path, as an ICMP message does.
type tooBig struct {
	tcpip.LocalSockError
	mtu uint32
}

// Kind implements [stack.TransportError].
func (*tooBig) Kind() stack.TransportErrorKind { return stack.PacketTooBigTransportError }

// Info returns the MTU.
func (e *tooBig) Info() uint32 { return e.mtu }
