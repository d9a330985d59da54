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

// guard stands between go-containerregistry's transports and the network, and looks at every request that leaves,
// whatever redirects and challenges led to it:
//
//   - without TLS it goes only where the settings allow that;
//   - to a private address it goes only as reach says;
//   - with credentials it goes only to the registry, to a host of the registry's own site (index.docker.io and
//     auth.docker.io), or to one that the settings name.
//
// go-containerregistry itself puts credentials only on requests to the registry's host, but takes the host of a token
// realm from the registry's answer, and sends them there whichever it is.
type guard struct {
	next       http.RoundTripper
	host       string // the registry, host[:port]
	plain      bool   // HTTP without TLS is allowed
	secret     bool   // there are credentials, and so tokens got with them
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
			return nil, g.refuse(req.URL.Host) // a refresh token travels in the body
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

// mayHave says whether a host may see the registry's credentials.
func (g *guard) mayHave(host string) bool {
	a, b := hostname(g.host), hostname(host)
	return a == b || slices.Contains(g.tokenHosts, b) || slices.Contains(g.tokenHosts, host) || sameSite(a, b)
}

// sameSite says whether two host names are under one registrable domain, by the public suffix list: what one owner
// has. Addresses have no site.
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

// isAddress says whether a host is an address, in any way that a dialler or a
// proxy may read one: 127.1, 2130706433 and 0x7f000001 are, too, and so is a name
// whose last label is a number (WHATWG URL, "ends in a number"). Digits may be
// of any script that net/http makes ASCII on its way.
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

// checkRedirect bounds redirects. Blobs may well be elsewhere (S3, a CDN), but never without TLS after TLS.
func (g *guard) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return &Error{Kind: ErrRedirect, Msg: fmt.Sprintf("registry %s: more than %d redirects", g.host, maxRedirects)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return &Error{Kind: ErrRedirect, Msg: fmt.Sprintf("registry %s redirects from HTTPS to %.80q", g.host, req.URL.Scheme+"://"+req.URL.Host)}
	}
	return nil
}
