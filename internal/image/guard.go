package image

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// guard is between go-containerregistry's transports and the network. It checks every request, including those after redirects and
// authentication challenges:
//
//   - a request without TLS goes only to hosts for which the settings allow it;
//   - a request to a private address goes only where reach allows it;
//   - a request with credentials goes only to the registry, to a host of the registry's site (index.docker.io and
//     auth.docker.io), or to a host in the settings.
//
// go-containerregistry adds credentials only to requests for the registry's host. But it reads the host of the token realm from the
// registry's answer, and sends the credentials to any such host.
type guard struct {
	next       http.RoundTripper
	host       string // the registry, host[:port]
	plain      bool   // HTTP without TLS is allowed
	secret     bool   // requests have credentials, or tokens that were issued for them
	tokenHosts []string
	reach      *reach
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.plain {
		return nil, &Error{
			Kind: ErrPlainHTTP, Msg: fmt.Sprintf("registry %s: plain HTTP to %.80q", g.host, req.URL.Host),
			Hint: "if it has no TLS, set plain_http for it in the registry settings",
		}
	}
	if err := g.reach.check(req.URL); err != nil {
		return nil, err
	}
	if g.secret && !g.mayHave(req.URL.Host) {
		if req.Method == http.MethodPost {
			return nil, g.refuse(req.URL.Host) // the body has a refresh token
		}
		req = req.Clone(req.Context())
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return g.next.RoundTrip(req)
}

func (g *guard) refuse(host string) error {
	return &Error{
		Kind: ErrCredentialHost,
		Msg:  fmt.Sprintf("registry %s wants its credentials sent to %.80q, which is another site", g.host, host),
		Hint: "if that is right, add it to token_hosts of this registry in the registry settings",
	}
}

// mayHave reports whether a host may get the registry's credentials.
func (g *guard) mayHave(host string) bool {
	a, b := hostname(g.host), hostname(host)
	return a == b || slices.Contains(g.tokenHosts, b) || slices.Contains(g.tokenHosts, host) || sameSite(a, b)
}

// sameSite reports whether two host names belong to one owner: they have the same registrable domain by the public suffix list.
// Addresses don't belong to a site.
func sameSite(a, b string) bool {
	if isAddress(a) || isAddress(b) {
		return false
	}
	x, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return false
	}
	y, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && x == y
}

// isAddress reports whether a dialler or a proxy may read a host as an address.
// That includes 127.1, 2130706433 and 0x7f000001, and every name whose last label
// is a number (WHATWG URL, "ends in a number"). The digits may be in any script,
// since net/http converts them to ASCII.
func isAddress(h string) bool {
	if ascii, err := idna.Lookup.ToASCII(h); err == nil {
		h = ascii
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	last := strings.TrimSuffix(h, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = hex, digits+"abcdef"
	}
	return h != "" && strings.Trim(last, digits) == ""
}

const maxRedirects = 10

// checkRedirect limits redirects. A blob may be at another site (S3, a CDN), but a redirect must not lead from TLS to plain HTTP.
func (g *guard) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return &Error{Kind: ErrRedirect, Msg: fmt.Sprintf("registry %s: more than %d redirects", g.host, maxRedirects)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return &Error{Kind: ErrRedirect, Msg: fmt.Sprintf("registry %s redirects from HTTPS to %.80q", g.host, req.URL.Scheme+"://"+req.URL.Host)}
	}
	return nil
}
