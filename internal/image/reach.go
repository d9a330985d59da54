package image

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/idna"

	"github.com/mayfly-run/mayfly/internal/network"
)

// reach decides where the requests of a session may go. The registry chooses most of these places, with redirects and the realm of its
// tokens. But mayfly may run in a private network, next to services that trust that network. So a request may go to a private address
// only
//
//   - if it is the registry itself, with the host and port that the user named;
//   - if the settings of this registry name the host (token_hosts, redirect_hosts);
//   - with TLS, to a name of the registry's site, where the certificate proves who answers.
//
// An address in a URL is checked before the request leaves, even to a proxy. The address of a name is checked when it is dialled,
// since the name may resolve to another address each time (DNS rebinding).
type reach struct {
	registry string   // host[:port]
	plain    bool     // the registry may be asked without TLS
	hosts    []string // host or host:port that may be at private addresses

	mu      sync.Mutex
	proxies map[string]bool // the proxies of requests so far, host:port; the user has chosen them
}

func newReach(e endpoint, settings Registry) *reach {
	r := &reach{registry: strings.ToLower(e.host), plain: e.plain, proxies: map[string]bool{}}
	for _, h := range slices.Concat(settings.TokenHosts, settings.RedirectHosts) {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	return r
}

// check checks the URL of a request before it is sent.
func (r *reach) check(u *url.URL) error {
	host, port := strings.ToLower(u.Hostname()), portOf(u)
	if r.allows(host, port) {
		return nil
	}
	a, err := netip.ParseAddr(host)
	if ascii, bad := idna.Lookup.ToASCII(host); bad == nil && err != nil {
		a, err = netip.ParseAddr(ascii) // as net/http reads it
	}
	if err == nil && network.Public(a) || err != nil && !isAddress(host) {
		return nil
	}
	return r.refuse(net.JoinHostPort(host, port), "")
}

// portOf returns the port of a URL, or the default port of its scheme.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// allows reports whether a host and port may be at a private address.
func (r *reach) allows(host, port string) bool {
	at := net.JoinHostPort(host, port)
	if r.isRegistry(host, port) || slices.Contains(r.hosts, host) || slices.Contains(r.hosts, at) {
		return true
	}
	own := hostname(r.registry)
	return !r.plain && !isAddress(host) && (host == own || sameSite(own, host))
}

func (r *reach) isRegistry(host, port string) bool {
	h, p, err := net.SplitHostPort(r.registry)
	if err == nil {
		return host == h && port == p
	}
	return host == hostname(r.registry) && (port == "443" || port == "80" && r.plain)
}

func (r *reach) refuse(at, meaning string) error {
	if meaning != "" {
		meaning = " (" + meaning + ")"
	}
	return &Error{
		Kind: ErrRedirect, Msg: fmt.Sprintf("registry %s leads to the private address %.80q%s", r.registry, at, meaning),
		Hint: "if that is right, add it to redirect_hosts of this registry in the registry settings",
	}
}

// proxy calls http.ProxyFromEnvironment, and remembers the proxies.
func (r *reach) proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if err != nil || u == nil {
		return u, err
	}
	port := portOf(u)
	if u.Port() == "" && strings.HasPrefix(u.Scheme, "socks5") {
		port = "1080"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proxies[net.JoinHostPort(u.Hostname(), port)] = true
	return u, nil
}

// dial connects a transport. It refuses private addresses that allows doesn't allow, except those of proxies.
func (r *reach) dial(ctx context.Context, family, at string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	chosen := r.proxies[at]
	r.mu.Unlock()
	if !chosen && !r.allows(strings.ToLower(host), port) {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if !network.Public(a.Addr()) {
				return r.refuse(at, a.Addr().String())
			}
			return nil
		}
	}
	return d.DialContext(ctx, family, at)
}
