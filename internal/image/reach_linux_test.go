package image

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func TestReachKnowsPrivateAddresses(t *testing.T) {
	settings := Registry{TokenHosts: []string{"10.0.0.7"}, RedirectHosts: []string{"10.0.0.8:9000", "minio.lan"}}
	for _, c := range []struct {
		registry, to string
		ok           bool
	}{
		{"r.example.com", "https://s3.amazonaws.com/b", true},
		{"r.example.com", "https://198.51.100.7/b", true},
		{"r.example.com", "https://127.0.0.1/b", false},
		{"r.example.com", "https://169.254.169.254/latest", false},
		{"r.example.com", "https://[fe80::1]/", false},
		{"r.example.com", "https://[::ffff:169.254.169.254]/", false},
		{"r.example.com", "https://[64:ff9b::a00:1]/", false}, // 10.0.0.1 behind NAT64
		{"r.example.com", "https://[fd00:ec2::254]/", false},
		{"r.example.com", "https://2852039166/", false},
		{"r.example.com", "https://127.1/", false},
		{"r.example.com", "https://0.0.0.0/b", false},
		{"r.example.com", "https://[::]/b", false},
		{"r.example.com", "https://[::ffff:0.0.0.0]/b", false},
		{"r.example.com", "https://224.0.0.251/b", false},
		{"r.example.com", "https://100.64.0.1/b", false},
		{"r.example.com", "https://192.168.0.9/minio", false},
		{"r.example.com", "https://10.0.0.7/token", true},  // named in the settings, at any port
		{"r.example.com", "https://10.0.0.8/minio", false}, // named with another port
		{"r.example.com", "https://10.0.0.8:9000/minio", true},
		{"127.0.0.1:5000", "http://127.0.0.1:5000/v2", true},
		{"127.0.0.1:5000", "http://127.0.0.1:5001/v2", false},
		{"127.0.0.1:5000", "http://127.0.0.1/v2", false},
		{"127.0.0.1:5000", "http://127.0.0.2:5000/b", false},
		{"10.0.0.1", "https://10.0.0.1/v2", true},
		{"10.0.0.1", "https://10.0.0.1:443/v2", true},
		{"10.0.0.1", "https://10.0.0.1:8443/v2", false},
		{"[::1]:5000", "http://[::1]:5000/v2", true},
		{"[::1]:5000", "http://[::1]:5001/v2", false},
	} {
		u, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		r := newReach(endpoint{host: c.registry, plain: u.Scheme == "http"}, settings)
		if err := r.check(u); (err == nil) != c.ok {
			t.Errorf("%s redirects to %s: got %v, want allowed: %v", c.registry, c.to, err, c.ok)
		}
	}
}

// TestReachAllowsNames checks which names may be at private addresses. That is decided before a name is dialled.
func TestReachAllowsNames(t *testing.T) {
	for _, c := range []struct {
		registry, host string
		plain, ok      bool
	}{
		{"registry.corp.example:5050", "registry.corp.example", false, true},
		{"registry.corp.example", "auth.corp.example", false, true},
		{"registry.corp.example", "auth.corp.example", true, false}, // no certificate proves the owner
		{"registry.corp.example", "registry.corp.example", true, true},
		{"registry.corp.example:5050", "registry.corp.example", true, false},
		{"registry.corp.example", "minio.lan", false, true}, // in the settings
		{"registry.corp.example", "vault.other.example", false, false},
		{"registry.corp.example", "localhost", false, false},
		{"registry", "auth", false, false},
		{"10.0.0.1", "10.0.0.1", false, true},
	} {
		r := newReach(endpoint{host: c.registry, plain: c.plain}, Registry{RedirectHosts: []string{"MinIO.lan"}})
		if got := r.allows(c.host, "443"); got != c.ok {
			t.Errorf("%s redirects to %s (plain %v): got %v, want %v", c.registry, c.host, c.plain, got, c.ok)
		}
	}
}

// TestRegistriesLeadToNoPrivateAddress is M05: a registry can't redirect any request to a service of this machine, by address or by
// name.
func TestRegistriesLeadToNoPrivateAddress(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f"})
	img := imagetest.Build(t, imagetest.Config{}, layer)
	to := func(part string) func(inside string) imagetest.Middleware {
		return func(inside string) imagetest.Middleware {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.Contains(r.URL.Path, part) {
					http.Redirect(w, r, "http://"+inside+"/admin", http.StatusTemporaryRedirect)
					return
				}
				next.ServeHTTP(w, r)
			}
		}
	}
	for name, lead := range map[string]func(inside string) imagetest.Middleware{
		"ping":     to("/v2/"),
		"manifest": to("/manifests/"),
		"config":   to("/blobs/" + imagetest.Digest(img.Config).String()),
		"layer":    to("/blobs/" + imagetest.Digest(layer).String()),
		"realm":    func(inside string) imagetest.Middleware { return bearerAuth("http://" + inside + "/admin") },
		"token": func(inside string) imagetest.Middleware {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, "http://"+inside+"/admin", http.StatusTemporaryRedirect)
					return
				}
				bearerAuth("")(w, r, next)
			}
		},
	} {
		for _, host := range []string{"127.0.0.1", "localhost", "LocalHost"} {
			t.Run(name+" to "+host, func(t *testing.T) {
				t.Parallel()
				s := newStrangerAt(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"x"}`) })
				r := imagetest.Serve(t, lead(strings.Replace(s.host, "127.0.0.1", host, 1)))
				imagetest.PushImage(t, r.Host+"/app:1", img)
				_, err := credentialStore(t, canary()).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
				if err == nil {
					t.Error("pulled")
				}
				if len(s.told) > 0 {
					t.Errorf("a service of this machine got the requests %q (%v)", s.told, err)
				}
				o := testOptions()
				if _, err := openStore(t, t.TempDir(), o).Pull(t.Context(), r.Host+"/app:1", PullOptions{}); err == nil || len(s.told) > 0 {
					t.Errorf("without credentials: %v; a service of this machine got the requests %q", err, s.told)
				}
			})
		}
	}
}

// TestGuardLooksAtAddressesFirst checks that a request for a private address in a URL isn't sent, not even to a proxy.
func TestGuardLooksAtAddressesFirst(t *testing.T) {
	for to, want := range map[string]bool{"https://s3.amazonaws.com/b": true, "https://10.0.0.1/b": false, "https://169.254.169.254/b": false} {
		sent := false
		g := &guard{host: "r.example.com", reach: newReach(endpoint{host: "r.example.com"}, Registry{}), next: roundTrip(func(*http.Request) (*http.Response, error) {
			sent = true
			return nil, io.EOF
		})}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.RoundTrip(req) //nolint:bodyclose // there is no response
		if sent != want || !want && !errors.Is(err, ErrRedirect) {
			t.Errorf("%s: sent %v (%v), want %v", to, sent, err, want)
		}
	}
}
