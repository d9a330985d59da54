package image

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Config says how registries are reached, by their host[:port] as it stands in image names; docker.io and
// index.docker.io are the same.
type Config struct {
	Registries map[string]Registry
}

// Registry is the setting of one registry, or of a mirror that has an entry of its own.
type Registry struct {
	// Mirrors are tried in order before the registry itself: host[:port], with a path under which the mirror keeps this
	// registry's repositories if need be, and with http:// if it has no TLS.
	Mirrors []string
	// PlainHTTP allows HTTP without TLS. Registries on this machine (localhost, 127.0.0.0/8, ::1) may always use it.
	PlainHTTP bool
	// CAFile is a PEM file of authorities trusted for this registry, beside the system's.
	CAFile string
	// TokenHosts are hosts of other sites to which this registry's credentials may be sent to get a token. The
	// registry's own site (index.docker.io and auth.docker.io) is always allowed.
	TokenHosts []string
	// RedirectHosts are hosts, with or without a port, to which this registry may send its clients although they are at
	// private addresses. They get no credentials. Those of TokenHosts may be there too.
	RedirectHosts []string
}

const maxConfigBytes = 1 << 20

// LoadConfig reads a Config from a YAML (or JSON) file. A file that isn't there is an empty Config; an unknown field is
// an error.
func LoadConfig(path string) (Config, error) {
	raw, err := readSmall(path, maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read registry settings: %w", err)
	}
	return parseConfig(path, raw)
}

func parseConfig(path string, raw []byte) (Config, error) {
	return shape.Parse(shape.Format{Bounds: shape.LargeBounds(), MayBeEmpty: true}, path, raw, configShape(), "the registry settings")
}

// of returns the settings of a registry by its host[:port].
func (c Config) of(host string) Registry {
	if r, ok := c.Registries[host]; ok {
		return r
	}
	if host == "index.docker.io" {
		return c.Registries["docker.io"]
	}
	return Registry{}
}

// endpoint is one place that serves a registry's repositories.
type endpoint struct {
	host   string // host[:port]
	prefix string // path of repositories, without slashes at its ends
	plain  bool   // HTTP without TLS is allowed
}

func parseEndpoint(s string) (endpoint, error) {
	rest, plain := strings.CutPrefix(s, "http://")
	if !plain {
		rest = strings.TrimPrefix(s, "https://")
	}
	host, prefix, _ := strings.Cut(rest, "/")
	if host == "" || strings.ContainsAny(host, "@ \t\n") || strings.Contains(rest, "://") {
		return endpoint{}, fmt.Errorf("mirror %q: write [http://]host[:port][/path]", s)
	}
	return endpoint{host: host, prefix: strings.Trim(prefix, "/"), plain: plain}, nil
}

// endpoints lists where to look for a repository of the registry: its mirrors in order, then itself.
func (c Config) endpoints(host string) ([]endpoint, error) {
	var all []endpoint
	for _, m := range c.of(host).Mirrors {
		e, err := parseEndpoint(m)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", host, err)
		}
		all = append(all, e)
	}
	all = append(all, endpoint{host: host})
	for i := range all {
		all[i].plain = all[i].plain || c.of(all[i].host).PlainHTTP || isLoopback(all[i].host)
	}
	return all, nil
}

// isLoopback says whether host[:port] is this machine by its name alone; no name is resolved.
func isLoopback(hostport string) bool {
	h := hostname(hostport)
	if h == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(h)
	return err == nil && a.Unmap().IsLoopback()
}

// hostname is host[:port] without its port and brackets.
func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}
