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

// Config says how to reach registries. Its keys are host[:port] as in image names; docker.io also stands for index.docker.io.
type Config struct {
	Registries map[string]Registry
}

// Registry has the settings of one registry, or of a mirror with its own entry.
type Registry struct {
	// Mirrors are tried in order before the registry itself. Each is [http://]host[:port][/path]: http:// if the mirror has
	// no TLS, and the path under which it has the repositories of this registry.
	Mirrors []string
	// PlainHTTP allows HTTP without TLS. Registries on this machine (localhost, 127.0.0.0/8, ::1) may always use it.
	PlainHTTP bool
	// CAFile is a PEM file of authorities that are trusted for this registry, in addition to the system's.
	CAFile string
	// TokenHosts are hosts of other sites that may get this registry's credentials, to issue a token. The registry's own
	// site (index.docker.io and auth.docker.io) is always allowed.
	TokenHosts []string
	// RedirectHosts are hosts, with or without a port, at private addresses to which this registry may redirect. They don't
	// get credentials. TokenHosts may be at private addresses too.
	RedirectHosts []string
}

const maxConfigBytes = 1 << 20

// LoadConfig reads a Config from a YAML or JSON file. If the file doesn't exist, the Config is empty. An unknown field is an error.
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
	prefix string // path of the repositories, without slashes at its ends
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

// endpoints returns the places of a registry's repositories: its mirrors in order, then the registry itself.
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

// isLoopback reports whether host[:port] is localhost or a loopback address. It doesn't resolve names.
func isLoopback(hostport string) bool {
	h := hostname(hostport)
	if h == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(h)
	return err == nil && a.Unmap().IsLoopback()
}

// hostname returns host[:port] without the port and brackets.
func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}
