package usernet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
)

var (
	tool4    = netip.MustParseAddr("198.18.0.2")
	tool6    = netip.MustParseAddr("fd6d:6179:666c:7900::2")
	gateway4 = netip.MustParseAddr("198.18.0.1")
	gateway6 = netip.MustParseAddr("fd6d:6179:666c:7900::1")
)

const testMTU = 65520

// patience is how long a test waits for something that must happen, on any machine
// and under any load. Only a failing test waits that long.
const patience = time.Minute

// testNetwork is a network under test: a namespace with a TUN device for the
// tool, and this process's namespace as the host.
type testNetwork struct {
	t       testing.TB
	n       *Network
	ns      int
	mu      sync.Mutex
	reports []engine.Connection
}

func policy(mode network.Mode, rules ...string) network.Policy {
	p := network.Policy{Mode: mode}
	for _, r := range rules {
		rule, err := networktest.ParseRule(r)
		if err != nil {
			panic(err)
		}
		p.Egress = append(p.Egress, rule)
	}
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return p
}

// newNetwork starts a network. The host has no own addresses unless the
// configuration has some: otherwise every destination of a test would be one.
func newNetwork(t testing.TB, cfg Config) *testNetwork {
	t.Helper()
	if _, bench := t.(*testing.B); !bench {
		ignore := goleak.IgnoreCurrent()
		t.Cleanup(func() { verifyNoLeaks(t, ignore) })
	}
	w := &testNetwork{t: t, ns: -1}
	tun, err := w.newNamespace()
	if err != nil {
		t.Fatal("make the tool's namespace: ", err)
	}
	cfg.TUN, cfg.MTU = tun, testMTU
	cfg.Tool4, cfg.Tool6, cfg.Gateway4, cfg.Gateway6 = tool4, tool6, gateway4, gateway6
	if cfg.Resolver == nil {
		cfg.Resolver = &fakeResolver{t: t}
	}
	if cfg.LocalAddresses == nil {
		cfg.LocalAddresses = func() ([]netip.Addr, error) { return nil, nil }
	}
	if cfg.Report == nil {
		cfg.Report = func(c engine.Connection) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports = append(w.reports, c)
		}
	}
	if w.n, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// verifyNoLeaks waits until no goroutines are left, longer than goleak, which
// waits for half a second.
func verifyNoLeaks(t testing.TB, ignore goleak.Option) {
	t.Helper()
	if t.Failed() {
		return
	}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err = goleak.Find(ignore); err == nil {
			return
		}
	}
	t.Error(err)
}

func (w *testNetwork) close() {
	w.n.Close()
	if w.ns >= 0 {
		unix.Close(w.ns)
		w.ns = -1
	}
}

// newNamespace makes the tool's network namespace with its device, as
// internal/sandbox does.
func (w *testNetwork) newNamespace() (tun *os.File, err error) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if w.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				return err
			}
			tun, err = openTUN()
			return err
		}()
	}()
	return tun, <-done
}

func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq("eth0")
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return nil, err
	}
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return nil, err
		}
		if name == "eth0" {
			if err := netlink.LinkSetMTU(link, testMTU); err != nil {
				return nil, err
			}
			for _, p := range []string{tool4.String() + "/30", tool6.String() + "/64"} {
				addr, err := netlink.ParseAddr(p)
				if err != nil {
					return nil, err
				}
				addr.Flags = unix.IFA_F_NODAD
				if err := netlink.AddrAdd(link, addr); err != nil {
					return nil, err
				}
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return nil, err
		}
		if name == "eth0" {
			for _, gateway := range []netip.Addr{gateway4, gateway6} {
				if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
					return nil, err
				}
			}
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Microsecond) { // see waitForAddress in internal/sandbox
		routes, err := netlink.RouteGet(tool6.AsSlice())
		if err != nil {
			return nil, err
		}
		if routes[0].Type == unix.RTN_LOCAL {
			break
		}
		if time.Now().After(end) {
			return nil, errors.New("the kernel doesn't take packets for the tool's IPv6 address")
		}
	}
	for file, value := range map[string]string{
		"/proc/sys/net/ipv4/ip_local_port_range": "1024 65535",
		"/proc/sys/net/ipv4/ping_group_range":    "0 2147483647",
	} {
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// inside calls f on a thread in the tool's namespace. A socket that f makes stays
// in the namespace, and may be used from any thread.
func (w *testNetwork) inside(f func()) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(w.ns, unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		w.t.Error("enter the tool's namespace: ", err)
	}
}

// dial connects from the tool. The address must be an IP address, so that the
// socket is made on the calling thread.
func (w *testNetwork) dial(kind, address string) (conn net.Conn, err error) {
	w.inside(func() {
		d := net.Dialer{Timeout: patience}
		conn, err = d.DialContext(context.Background(), kind, address)
	})
	return conn, err
}

func (w *testNetwork) mustDial(kind, address string) net.Conn {
	w.t.Helper()
	conn, err := w.dial(kind, address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// connections returns the reports so far.
func (w *testNetwork) connections() []engine.Connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]engine.Connection(nil), w.reports...)
}

// eventually waits for a condition, and fails the test if it isn't met within patience.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("within %s it didn't happen that %s", patience, what)
		}
	}
}

// settled waits for a number of reports, and then a moment for more, because the
// tool doesn't wait for reports.
func (w *testNetwork) settled(count int) []engine.Connection {
	w.t.Helper()
	for end := time.Now().Add(patience); len(w.connections()) < count && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	return w.connections()
}

// report waits for the report of a destination.
func (w *testNetwork) report(protocol, address string, port int) engine.Connection {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, c := range w.connections() {
			if c.Protocol == protocol && c.Address == address && int(c.Port) == port {
				return c
			}
		}
	}
	w.t.Fatalf("no report of %s %s port %d in %+v", protocol, address, port, w.connections())
	return engine.Connection{}
}

// reportOf waits for the report of a protocol and a name.
func (w *testNetwork) reportOf(protocol, host string) engine.Connection {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, c := range w.connections() {
			if c.Protocol == protocol && c.Host == host {
				return c
			}
		}
	}
	w.t.Fatalf("no report of %s %s in %+v", protocol, host, w.connections())
	return engine.Connection{}
}

// resolver returns the tool's resolver.
func (w *testNetwork) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(_ context.Context, kind, _ string) (net.Conn, error) {
		return w.dial(kind, net.JoinHostPort(gateway4.String(), "53"))
	}}
}

// fakeResolver is a DNS with the records of a test. It remembers the questions.
type fakeResolver struct {
	t     testing.TB
	mu    sync.Mutex
	hosts map[string][]string
	// answers has the answers to successive questions for a name. They come
	// before hosts.
	answers map[string][][]string
	records map[string][]dnsmessage.Resource
	asked   []string
}

func (r *fakeResolver) Addresses(_ context.Context, kind, name string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, name)
	list := r.hosts[name]
	if queue := r.answers[name]; len(queue) > 0 && kind == "ip4" {
		list = queue[0]
		r.answers[name] = queue[1:]
	}
	var out []netip.Addr
	for _, s := range list {
		if a := netip.MustParseAddr(s); a.Is4() == (kind == "ip4") {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return out, nil
}

func (r *fakeResolver) Records(_ context.Context, q dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q.Name.String()+" "+strconv.Itoa(int(q.Type)))
	found, ok := r.records[q.Name.String()]
	if !ok {
		return nil, dnsmessage.RCodeNameError, nil
	}
	return found, dnsmessage.RCodeSuccess, nil
}

func (r *fakeResolver) questions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}
