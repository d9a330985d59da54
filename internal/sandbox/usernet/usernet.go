// Package usernet is a sandbox's network: a TCP/IP stack that ends in Go.
//
//	tool -> kernel of the sandbox's network namespace -> TUN device
//	     -> link (source check, byte counts, ICMP echo)
//	     -> gVisor's TCP/IP stack, which accepts every destination
//	     -> forwarder: policy, dial on the host, copy bytes within the bandwidth
//
// Each connection is a Go value here: the egress policy is decided on the
// address that is really dialled, bytes are counted, and the report of it is
// written. Nothing of it is on the host: no bridge, no firewall rule, nothing
// that a crash could leave. DNS is answered here too (dns.go), which is how a
// connection's address is known to be that of a name.
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

// Config is what a sandbox's network is made of.
type Config struct {
	// TUN is the sandbox's device (IFF_TUN|IFF_NO_PI). The network owns it.
	TUN *os.File
	MTU uint32
	// Tool are the sandbox's own addresses, Gateway the ones that this side
	// answers on: DNS, and host.mayfly.internal.
	Tool4, Tool6, Gateway4, Gateway6 netip.Addr

	Policy network.Policy
	// Mocks, unless nil, answer instead of the destinations.
	Mocks *Mocks
	// Bandwidth is the limit each way in bits per second; zero is none.
	Bandwidth int64

	// Report is called with each ended or denied connection, from several
	// goroutines.
	Report func(engine.Connection)

	// Resolver answers DNS; nil is the host's own.
	Resolver Resolver
	// LocalAddresses are the host's own addresses; nil asks the kernel.
	LocalAddresses func() ([]netip.Addr, error)

	// dial reaches out from the host; tests delay it.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	// flush is flushTime; tests of what is flushed have more.
	flush time.Duration
}

// Limits of one sandbox's network. Beyond them a connection is refused and
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
	fd    int // of the TUN device; File.Fd would change its mode
	stack *stack.Stack
	link  *link
	names *names
	local localAddresses

	denied, overflows once[targetKey]
	questions         once[questionKey]
	granted           grants

	echoes   *limiter // of answers to pings
	down, up *limiter // bytes towards the tool, from the tool; nil is no limit

	ctx     context.Context
	cancel  context.CancelFunc
	slots   struct{ tcp, udp, ping slots }
	sending atomic.Int64 // what the tool said and the host hasn't got yet
	closed  sync.Once

	mu      sync.Mutex
	closing bool
	work    sync.WaitGroup // added to under mu, and not once closing
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

// silence keeps the stack from writing to standard error what a tool's packets
// make it say.
var silence = sync.OnceFunc(func() {
	// The emitter of the one logger, which the stack's packages hold already.
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
		// With one, packets are handled as they are read and wait in the
		// kernel, which bounds them; several have queues without a bound.
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
	// Promiscuous: accept packets for any address. Spoofing: answer from it.
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

// Bytes are what the tool has received and sent, with headers.
func (n *Network) Bytes() (rx, tx int64) { return n.link.rx.Load(), n.link.tx.Load() }

// Close ends every connection, reports them, and waits for all goroutines. The
// tool has to be gone: what it said last is still passed on.
func (n *Network) Close() {
	n.closed.Do(func() {
		n.flush()
		n.mu.Lock()
		n.closing = true
		n.mu.Unlock()
		n.cancel()
		if n.link != nil {
			n.link.Attach(nil) // waits for the reader of the device: nothing new comes
		}
		n.wait()
		n.stack.Destroy()
		_ = n.cfg.TUN.Close()
	})
}

// wait waits for the goroutines, and ends again and again what holds them up:
// the handshake of a connection that was being dialled can begin only now, and
// nobody is there to end it.
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

// flushTime bounds how long the end of a sandbox waits for what its tool said
// last: a datagram of statistics, the end of a log. Without such it takes no time.
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

// spawn calls f in a goroutine that Close waits for; false when it is too late.
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

// enter counts the calling goroutine as one that Close waits for, until its
// work.Done.
func (n *Network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.work.Add(1)
	return true
}

// slots counts what is open of one kind, up to a limit.
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
