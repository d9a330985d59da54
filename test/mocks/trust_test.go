//go:build linux

package mocks

import (
	"archive/tar"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

const (
	authority = "-----BEGIN CERTIFICATE-----\nYXV0aG9yaXR5\n-----END CERTIFICATE-----\n"
	bundle    = "-----BEGIN CERTIFICATE-----\naW1hZ2U=\n-----END CERTIFICATE-----\n"
)

func link(name, to string) imagetest.File {
	return imagetest.File{Name: name, Type: tar.TypeSymlink, Link: to}
}

// TestTrust checks that each bundle of certificates that an image may have has the test's authority added.
func TestTrust(t *testing.T) {
	const debian, redhat, alpine, both = "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem", bundle + authority
	for name, c := range map[string]struct {
		files []imagetest.File
		want  map[string]string // path and content
	}{
		"debian": {
			[]imagetest.File{{Name: debian, Body: bundle}},
			map[string]string{debian: both, "run/mayfly/ca-bundle.pem": both, "run/mayfly/ca.pem": authority},
		},
		"no line at its end": {
			[]imagetest.File{{Name: debian, Body: strings.TrimSpace(bundle)}},
			map[string]string{debian: both},
		},
		"alpine": {
			[]imagetest.File{{Name: debian, Body: bundle}, link(alpine, "certs/ca-certificates.crt")},
			map[string]string{debian: both, alpine: both},
		},
		"red hat": {
			[]imagetest.File{{Name: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", Body: bundle}, link(redhat, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")},
			map[string]string{redhat: both, "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": both, "run/mayfly/ca-bundle.pem": both},
		},
		"two": {
			[]imagetest.File{{Name: debian, Body: bundle}, {Name: "etc/ssl/ca-bundle.pem", Body: "other\n"}},
			map[string]string{debian: both, "etc/ssl/ca-bundle.pem": "other\n" + authority, "run/mayfly/ca-bundle.pem": both},
		},
		"none": {
			nil,
			map[string]string{debian: authority, "run/mayfly/ca-bundle.pem": authority, "run/mayfly/ca.pem": authority},
		},
		"hostile links": {
			[]imagetest.File{link(debian, "/../../../../../../etc/passwd"), link(alpine, "/proc/self/environ"), link(redhat, "/dev/null"), {Name: "etc/ssl/ca-bundle.pem", Type: tar.TypeFifo}},
			map[string]string{"run/mayfly/ca.pem": authority, "etc/ssl/certs/ca-certificates.crt": "IMAGE"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := newLab(t, c.files...), newServer(t, nil, nil)
			var script strings.Builder
			for path := range c.want {
				script.WriteString("echo '=" + path + "'; cat /" + path + "; { chmod u+w /" + path + "; echo x >> /" + path + "; } 2>/dev/null && echo WROTE; ")
			}
			for _, writable := range []bool{false, true} {
				spec := l.spec(s, none, "sh", "-c", script.String()+"true")
				spec.Mocks.Authority, spec.Security.Writable = []byte(authority), writable
				r := l.run(spec, nil)
				got := map[string]string{}
				for part := range strings.SplitSeq(strings.TrimPrefix(r.stdout, "="), "\n=") {
					path, text, _ := strings.Cut(part, "\n")
					got[path] = strings.TrimRight(text, "\n") + "\n"
				}
				for path, want := range c.want {
					if want == "IMAGE" { // the image's own /etc/passwd, not a file of the host
						want = imagePasswd(t, l) + authority
					}
					if got[path] != want {
						t.Errorf("writable %v: %s: %q, want %q", writable, path, got[path], want)
					}
				}
			}
		})
	}
}

func imagePasswd(t *testing.T, l *lab) string {
	t.Helper()
	s := newServer(t, nil, nil)
	return l.run(l.spec(s, none, "cat", "/etc/passwd"), nil).stdout
}

// TestTrustTooLarge checks that a bundle that is too large is refused, since it would be read into memory.
func TestTrustTooLarge(t *testing.T) {
	l, s := newLab(t, imagetest.File{Name: "etc/ssl/cert.pem", Body: strings.Repeat("x", 16<<20+1)}), newServer(t, nil, nil)
	spec := l.spec(s, none, "true")
	spec.Mocks.Authority = []byte(authority)
	_, err := l.try(spec, nil)
	wantInvalid(t, err, "/etc/ssl/cert.pem")
}

// TestTrustPassesOverLinks checks that a test runs although links of its image lead nowhere.
func TestTrustPassesOverLinks(t *testing.T) {
	for name, l := range map[string]imagetest.File{
		"a certificate":         link("opt/loop.pem", "loop.pem"),
		"a keystore":            link("opt/cacerts", "cacerts"),
		"the bundle":            link("etc/ssl/certs/ca-certificates.crt", "ca-certificates.crt"),
		"the bundle, elsewhere": link("etc/ssl/certs/ca-certificates.crt", "/proc/self/fd/3"),
		"the folder":            link("etc/ssl/certs", "certs"),
		"the folder, elsewhere": link("etc/ssl/certs", "/proc/self/cwd"),
		"a folder of PATH":      link("usr/local/bin", "bin"),
	} {
		t.Run(name, func(t *testing.T) {
			l, s := newLab(t, l), newServer(t, nil, func(c *command) { c.exit(0) })
			spec := l.withCommands(s, "cat $SSL_CERT_FILE", "kubectl")
			spec.Mocks.Authority = []byte(authority)
			if r := l.run(spec, nil); r.stdout != authority {
				t.Errorf("%q %q", r.stdout, r.stderr)
			}
		})
	}
}

// TestTrustLeavesTheToolsFiles checks that a volume of the tool in place of a bundle isn't changed.
func TestTrustLeavesTheToolsFiles(t *testing.T) {
	l, s := newLab(t, imagetest.File{Name: "etc/ssl/cert.pem", Body: bundle}), newServer(t, nil, nil)
	spec := l.spec(s, none, "cat", "/etc/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
	spec.Mounts = []engine.Mount{{Kind: engine.MountContent, Target: "/etc/ssl/cert.pem", Content: []byte("own\n")}}
	spec.Mocks.Authority = []byte(authority)
	if r := l.run(spec, nil); r.stdout != "own\n"+authority {
		t.Errorf("%q", r.stdout)
	}
}

// TestTrustVariables checks that the variables that name bundles replace the tool's own.
func TestTrustVariables(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	spec := l.spec(s, none, "env")
	spec.Environment = []engine.Variable{{Name: "SSL_CERT_FILE", Value: "/own.pem"}, {Name: "OTHER", Value: "kept"}}
	spec.Mocks.Authority = []byte(authority)
	r := l.run(spec, nil)
	for _, want := range []string{
		"SSL_CERT_FILE=/run/mayfly/ca-bundle.pem", "REQUESTS_CA_BUNDLE=/run/mayfly/ca-bundle.pem", "CURL_CA_BUNDLE=/run/mayfly/ca-bundle.pem",
		"GIT_SSL_CAINFO=/run/mayfly/ca-bundle.pem", "AWS_CA_BUNDLE=/run/mayfly/ca-bundle.pem", "NODE_EXTRA_CA_CERTS=/run/mayfly/ca.pem", "OTHER=kept",
	} {
		if !strings.Contains(r.stdout, want+"\n") {
			t.Errorf("no %s in %q", want, r.stdout)
		}
	}
	if strings.Contains(r.stdout, "/own.pem") {
		t.Errorf("%q", r.stdout)
	}
	spec = l.spec(s, none, "env")
	if r := l.run(spec, nil); strings.Contains(r.stdout, "SSL_CERT") || strings.Contains(r.stdout, "/run/mayfly") {
		t.Errorf("without an authority: %q", r.stdout)
	}
}
