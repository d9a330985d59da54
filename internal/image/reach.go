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

// reach is where the requests of a session may go. A registry chooses most of those places: it answers with redirects and
// with the realm of its tokens, and stands outside while mayfly stands inside, beside services that trust their network.
// So a private address is asked only
//
//   - as the registry itself, host and port as the user named it;
//   - where the settings name it for this registry (token_hosts, redirect_hosts);
//   - with TLS, by a name of the registry's own site: a certificate proves whose server answers.
//
// An address that stands in a URL is looked at before the request leaves, by proxy or not; that of a name when it is
// dialled, since nobody else knows what the name means then (DNS rebinding).
type reach struct {
	registry string // host[:port]
	plain    bool   // the registry may be asked without TLS
	hosts    []string

	mu      sync.Mutex
	proxies map[string]bool // the proxies of requests so far, host:port: those the user has chosen
}

func newReach(e endpoint, settings Registry) *reach {
	r := &reach{registry: strings.ToLower(e.host), plain: e.plain, proxies: map[string]bool{}}
	for _, h := range slices.Concat(settings.TokenHosts, settings.RedirectHosts) {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	return r
}

// check looks at the URL of a request that is about to leave.
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

// portOf is the port that a URL leads to.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// allows says whether a host and port may be at a private address.
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

// proxy is http.ProxyFromEnvironment, and remembers its answers.
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

// dial connects a transport.
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
