package tool

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// RegistriesFile are the settings of registries as they are written, by host[:port]; see image.Config.
type RegistriesFile struct {
	Registries map[string]RegistrySettings
}

// RegistrySettings are those of one registry; see image.Registry.
type RegistrySettings struct {
	Mirrors       []string
	PlainHTTP     bool
	CAFile        string
	TokenHosts    []string
	RedirectHosts []string
}

// ParseRegistries reads the settings of registries. An empty file has none. isMirror knows the address of a mirror. The
// error is an *[shape.Error].
func ParseRegistries(file string, data []byte, isMirror func(string) bool) (*RegistriesFile, error) {
	r, err := shape.Parse(shape.Format{Bounds: shape.LargeBounds(), MayBeEmpty: true}, file, data, registriesShape(isMirror), "the registry settings")
	if err != nil {
		return nil, err
	}
	return &r, nil
}

func registriesShape(isMirror func(string) bool) shape.Shape[RegistriesFile] {
	const hosts = "host or host:port"
	host := func(s string) (string, string) {
		if s == "" || strings.ContainsAny(s, "/@ \t\n") {
			return "is not a host", "write " + hosts
		}
		return "", ""
	}
	mirror := func(s string) (string, string) {
		if !isMirror(s) {
			return "is not the address of one", "write [http://]host[:port][/path]"
		}
		return "", ""
	}
	one := shape.ObjectWithHints("a registry", []shape.Field[RegistrySettings]{
		shape.Bind("mirrors", "Tried in order before the registry itself.", shape.List("a mirror", shape.Text(nil, mirror)), func(r *RegistrySettings) *[]string { return &r.Mirrors }),
		shape.Bind("plain_http", "Whether HTTP without TLS is allowed.", shape.Boolean(), func(r *RegistrySettings) *bool { return &r.PlainHTTP }),
		shape.Bind("ca_file", "A PEM file of authorities that are trusted for it.", shape.Text(nil, nil), func(r *RegistrySettings) *string { return &r.CAFile }),
		shape.Bind("token_hosts", "Hosts of other sites that may get its credentials.", shape.List("a host", shape.Text(nil, host)), func(r *RegistrySettings) *[]string { return &r.TokenHosts }),
		shape.Bind("redirect_hosts", "Hosts at private addresses to which it may lead.", shape.List("a host", shape.Text(nil, host)), func(r *RegistrySettings) *[]string { return &r.RedirectHosts }),
	}, hintsForRegistry, nil)
	return shape.Object("the registry settings", []shape.Field[RegistriesFile]{
		shape.Bind("registries", "The settings by "+hosts+".", shape.Map(one, shape.Schema{}, host, "a registry"), func(f *RegistriesFile) *map[string]RegistrySettings { return &f.Registries }),
	}, nil)
}

// hintsForRegistry are the keys of other formats.
func hintsForRegistry() map[string]string {
	return map[string]string{
		"insecure": "plain_http", "http": "plain_http", "insecure_skip_verify": "ca_file", "skip_verify": "ca_file", "ca": "ca_file", "certs": "ca_file",
		"endpoint": "mirrors", "endpoints": "mirrors", "auth": "credentials are those of docker login", "username": "credentials are those of docker login",
		"password": "credentials are those of docker login",
	}
}
