package image

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// configShape returns the shape of the settings of registries.
func configShape() shape.Shape[Config] {
	const hosts = "host or host:port"
	host := func(s string) (string, string) {
		if s == "" || strings.ContainsAny(s, "/@ \t\n") {
			return "is not a host", "write " + hosts
		}
		return "", ""
	}
	mirror := func(s string) (string, string) {
		if _, err := parseEndpoint(s); err != nil {
			return "is not an address", "write [http://]host[:port][/path]"
		}
		return "", ""
	}
	one := shape.ObjectWithHints("a registry", []shape.Field[Registry]{
		shape.Bind("mirrors", "Mirrors to try in order before the registry itself.", shape.List("a mirror", shape.Text(nil, mirror)), func(r *Registry) *[]string { return &r.Mirrors }),
		shape.Bind("plain_http", "Whether HTTP without TLS is allowed.", shape.Boolean(), func(r *Registry) *bool { return &r.PlainHTTP }),
		shape.Bind("ca_file", "A PEM file of authorities that are trusted for it.", shape.Text(nil, nil), func(r *Registry) *string { return &r.CAFile }),
		shape.Bind("token_hosts", "Hosts of other sites that may get its credentials.", shape.List("a host", shape.Text(nil, host)), func(r *Registry) *[]string { return &r.TokenHosts }),
		shape.Bind("redirect_hosts", "Hosts at private addresses to which it may redirect.", shape.List("a host", shape.Text(nil, host)), func(r *Registry) *[]string { return &r.RedirectHosts }),
	}, hintsForRegistry, nil)
	return shape.Object("the registry settings", []shape.Field[Config]{
		shape.Bind("registries", "The settings by "+hosts+".", shape.Map(one, shape.Schema{}, host, "a registry"), func(c *Config) *map[string]Registry { return &c.Registries }),
	}, nil)
}

// hintsForRegistry returns what to write for the keys of other formats.
func hintsForRegistry() map[string]string {
	return map[string]string{
		"insecure": "plain_http", "http": "plain_http", "insecure_skip_verify": "ca_file", "skip_verify": "ca_file", "ca": "ca_file", "certs": "ca_file",
		"endpoint": "mirrors", "endpoints": "mirrors", "auth": "credentials are those of docker login", "username": "credentials are those of docker login",
		"password": "credentials are those of docker login",
	}
}
