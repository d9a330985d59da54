// Package usernet is a sandbox's network: a TCP/IP stack that ends in Go.
//
//	tool -> kernel of the sandbox's network namespace -> TUN device
//	     -> link (source check, byte counts, ICMP echo)
//	     -> gVisor's TCP/IP stack, which accepts every destination
//	     -> forwarder: policy, dial on the host, copy bytes within the bandwidth
//
// Each connection is a Go value. The egress policy is applied to the address that
// is really dialled, and bytes are counted for the report. The host has no bridge
// and no firewall rule for it, so a crash leaves nothing. This package also
// answers DNS (dns.go), so it knows which names led to a connection's address.
package usernet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Config is the configuration of a sandbox's network.
type Config struct {
	// TUN is the sandbox's device (IFF_TUN|IFF_NO_PI). The network owns it.
	TUN *os.File
	MTU uint32
	// Tool4 and Tool6 are the sandbox's own addresses. Gateway4 and Gateway6 are
	// the addresses of the DNS server and of host.mayfly.internal.
	Tool4, Tool6, Gateway4, Gateway6 netip.Addr

	Policy network.Policy
	// Mocks, unless nil, answer instead of the destinations.
	Mocks *Mocks
	// Bandwidth is the limit each way in bits per second; zero means no limit.
	Bandwidth int64

	// Report is called with each ended or denied connection, from several
	// goroutines.
	Report func(engine.Connection)

	// Resolver answers DNS; nil means the host's own resolver.
	Resolver Resolver
	// LocalAddresses returns the host's own addresses; nil means those of the
	// kernel.
	LocalAddresses func() ([]netip.Addr, error)

	// dial connects from the host; tests replace it.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	// flush is flushTime, or longer in tests.
	flush time.Duration
}

// The limits of one sandbox's network. A connection over a limit is refused and
// reported, so that memory is bounded whatever the tool does.
const (
	maxTCP        = 2048
	maxUDP        = 2048
	maxPings      = 64
	maxHandshakes = 512
	dialTimeout   = 30 * time.Second
	udpIdle       = 60 * time.Second
)

const nic = 1

// Network is a live sandbox's network.
type Network struct {
	cfg   Config
	fd    int // of the TUN device
	stack *stack.Stack
	link  *link
	names *names
	local localAddresses

	denied, overflows once[targetKey]
	questions         once[questionKey]
	granted           grants

	echoes   *limiter // answers to pings
	down, up *limiter // bytes to the tool, and from the tool; nil means no limit

	ctx     context.Context
	cancel  context.CancelFunc
	slots   struct{ tcp, udp, ping slots }
	sending atomic.Int64 // connections and flows whose data from the tool isn't passed on yet
	closed  sync.Once

	mu      sync.Mutex
	closing bool
	work    sync.WaitGroup // Add is called with mu held, and not after closing is set
}

// Start brings the network up. It works until Close.
func Start(cfg Config) (*Network, error) {
	n := &Network{cfg: cfg, fd: int(cfg.TUN.Fd()), names: newNames()}
	if n.cfg.dial == nil {
		n.cfg.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if n.cfg.flush == 0 {
		n.cfg.flush = flushTime
	}
	if n.cfg.Resolver == nil {
		n.cfg.Resolver = hostResolver{}
	}
	n.local.read = cfg.LocalAddresses
	if n.local.read == nil {
		n.local.read, n.local.route = interfaceAddresses, routedHere
	}
	n.echoes = rate.NewLimiter(echoBytes, 2*echoBytes)
	n.slots.tcp.max, n.slots.udp.max, n.slots.ping.max = maxTCP, maxUDP, maxPings
	if cfg.Bandwidth > 0 {
		n.down, n.up = newLimiter(cfg.Bandwidth), newLimiter(cfg.Bandwidth)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.startStack(); err != nil {
		n.Close()
		return nil, fmt.Errorf("start the sandbox's network: %w", err)
	}
	return n, nil
}

// silence turns the stack's log off: a tool's packets could fill standard error.
var silence = sync.OnceFunc(func() {
	// Replace the emitter, because the stack's packages already use the logger.
	log.Log().Emitter = log.GoogleEmitter{Writer: &log.Writer{Next: io.Discard}}
})

func (n *Network) startStack() error {
	silence()
	n.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	device, err := fdbased.New(&fdbased.Options{
		FDs:                []int{n.fd},
		MTU:                n.cfg.MTU,
		PacketDispatchMode: fdbased.Readv,
		// With one processor, packets are handled as they are read, and others
		// wait in the kernel's bounded queue. With several they would wait in
		// unbounded queues.
		ProcessorsPerChannel: 1,
		RXChecksumOffload:    true, // the tool's packets never leave this machine's memory
		IsPacketSocket:       []bool{false},
	})
	if err != nil {
		return err
	}
	n.link = newLink(n, device)
	if err := n.stack.CreateNIC(nic, n.link); err != nil {
		return fmt.Errorf("attach the device: %s", err)
	}
	// Promiscuous mode accepts packets to any address; spoofing answers from it.
	if err := n.stack.SetPromiscuousMode(nic, true); err != nil {
		return fmt.Errorf("accept every destination: %s", err)
	}
	if err := n.stack.SetSpoofing(nic, true); err != nil {
		return fmt.Errorf("answer as every destination: %s", err)
	}
	n.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	sack := tcpip.TCPSACKEnabled(true)
	if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return fmt.Errorf("set TCP options: %s", err)
	}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: firstWindow, Max: fastBuffer}
	if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &receive); err != nil {
		return fmt.Errorf("set TCP options: %s", err)
	}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: fastBuffer, Max: fastBuffer}
	if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &send); err != nil {
		return fmt.Errorf("set TCP options: %s", err)
	}
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(n.stack, firstWindow, maxHandshakes, n.handleTCP).HandlePacket)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(n.stack, n.handleUDP).HandlePacket)
	return n.listenDNS()
}

// Bytes returns the numbers of bytes that the tool has received and sent, with
// headers.
func (n *Network) Bytes() (rx, tx int64) { return n.link.rx.Load(), n.link.tx.Load() }

// Close ends every connection, reports them, and waits for all goroutines. The
// tool must have ended; its last bytes are still passed on.
func (n *Network) Close() {
	n.closed.Do(func() {
		n.flush()
		n.mu.Lock()
		n.closing = true
		n.mu.Unlock()
		n.cancel()
		if n.link != nil {
			n.link.Attach(nil) // waits for the reader of the device, so that no new packets arrive
		}
		n.wait()
		n.stack.Destroy()
		_ = n.cfg.TUN.Close()
	})
}

// wait waits for the goroutines. Meanwhile it ends all endpoints of the stack
// again and again: the handshake of a connection that was being dialled may begin
// only now, and nothing else would end it.
func (n *Network) wait() {
	done := make(chan struct{})
	go func() {
		n.work.Wait()
		close(done)
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, e := range n.stack.RegisteredEndpoints() {
			e.Abort()
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// flushTime is the longest time that the end of a sandbox waits for the tool's
// last bytes, such as a datagram of statistics or the end of a log. It doesn't
// wait if there are none.
const flushTime = 500 * time.Millisecond

// flush waits until the host has what the tool sent before it ended.
func (n *Network) flush() {
	if n.link == nil {
		return
	}
	for end := time.Now().Add(n.cfg.flush); time.Now().Before(end); time.Sleep(time.Millisecond) {
		poll := []unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLIN}}
		waiting, err := unix.Poll(poll, 0)
		if (err != nil || waiting == 0) && n.link.delivering.Load() == 0 && n.sending.Load() == 0 {
			return
		}
	}
}

// spawn calls f in a goroutine that Close waits for. It returns false if the
// network is closing.
func (n *Network) spawn(f func()) bool {
	if !n.enter() {
		return false
	}
	go func() {
		defer n.work.Done()
		f()
	}()
	return true
}

// enter makes Close wait for the calling goroutine until it calls work.Done. It
// returns false if the network is closing.
func (n *Network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.work.Add(1)
	return true
}

// slots counts open connections of one kind, up to a limit.
type slots struct {
	max  int64
	used atomic.Int64
}

func (s *slots) take() bool {
	if s.used.Add(1) > s.max {
		s.used.Add(-1)
		return false
	}
	return true
}

func (s *slots) release() { s.used.Add(-1) }

func toAddr(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr.Unmap()
}
