package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigErrors checks that errors in the settings of registries have their place in the file.
func TestConfigErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registries.json")
	load := func(text string) (Config, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadConfig(path)
	}
	for text, want := range map[string]string{
		`{"registry": {}}`: `:1:2: unknown key "registry" in the registry settings; did you mean "registries"?`,
		`{"registries": {"a.example": {"mirror": []}}}`:                   `:1:31: unknown key "mirror" in a registry; did you mean "mirrors"?`,
		`{"registries": {"a.example": {"mirrors": 5}}}`:                   `:1:42: mirrors must be a list`,
		`{"registries": {"a.example": {"mirrors": "https://x"}}}`:         `:1:42: mirrors must be a list, not the text "https://x"; write ["https://x"]`,
		`{"registries": {"a.example": {"insecure": true}}}`:               `:1:31: unknown key "insecure" in a registry; the key here is plain_http`,
		`{"registries": {"a.example": {"redirect_hosts": ["http://a"]}}}`: `a host "http://a" is not a host; write host or host:port`,
		`{"registries": {"a.example": {"token_hosts": ["a b"]}}}`:         `a host "a b" is not a host; write host or host:port`,
		"registries:\n  a.example:\n    plain_http: on":                   `:3:17: plain_http must be true or false`,
		`{"registries": {"https://a.example": {}}}`:                       `:1:17: a registry "https://a.example" is not a host; write host or host:port`,
		`{"registries": {"a": {"mirrors": ["a b"]}}}`:                     `a mirror "a b" is not an address; write [http://]host[:port][/path]`,
		`[]`:                                 `the registry settings must be a mapping of keys`,
		`{`:                                  `this is not valid YAML`,
		`{"registries": {"a": {}, "a": {}}}`: `"a"`,
	} {
		_, err := load(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: got %v, want %s%s", text, err, path, want)
		}
		if strings.Contains(err.Error(), "image.") || strings.Contains(err.Error(), "unmarshal") {
			t.Errorf("%s: the error has Go's type names: %v", text, err)
		}
	}
	for _, text := range []string{"", "# none\n", "{}", `{"registries": {}}`} {
		if c, err := load(text); err != nil || len(c.Registries) != 0 {
			t.Errorf("%q: got %v, %v; want no registries", text, c, err)
		}
	}
	c, err := load(`{"registries": {"a.example:5000": {"mirrors": ["http://m.example/x"], "plain_http": true, "ca_file": "/ca.pem", "token_hosts": ["t"], "redirect_hosts": ["r"]}}}`)
	r := c.Registries["a.example:5000"]
	if err != nil || len(r.Mirrors) != 1 || !r.PlainHTTP || r.CAFile != "/ca.pem" || len(r.TokenHosts) != 1 || len(r.RedirectHosts) != 1 {
		t.Errorf("got %+v, %v; want all settings", c, err)
	}
}
