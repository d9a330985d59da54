package imagetest

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// NewRegistry starts an empty registry on the loopback, without TLS, and returns its host:port. It ends with the test.
func NewRegistry(t testing.TB) string {
	t.Helper()
	r := Serve(t, nil)
	return r.Host
}

// Registry is a registry whose requests a test can count and answer.
type Registry struct {
	Host   string // host:port
	CAFile string // PEM file of the certificate's authority; only of ServeTLS

	mu   sync.Mutex
	seen []string // method and path of each request
}

// Middleware answers a request, or passes it to the registry (next).
type Middleware func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Serve starts a registry behind a middleware, which may be nil.
func Serve(t testing.TB, m Middleware) *Registry {
	t.Helper()
	r := &Registry{}
	srv := httptest.NewServer(r.handler(m))
	t.Cleanup(srv.Close)
	r.Host = strings.TrimPrefix(srv.URL, "http://")
	return r
}

// ServeTLS is like Serve, with TLS. The certificate's authority is in CAFile.
func ServeTLS(t testing.TB, m Middleware) *Registry {
	t.Helper()
	r := &Registry{CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	srv := httptest.NewUnstartedServer(r.handler(m))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // some tests are about refused handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	r.Host = strings.TrimPrefix(srv.URL, "https://")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(r.CAFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Registry) handler(m Middleware) http.Handler {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.seen = append(r.seen, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		if m != nil && req.Header.Get(pushHeader) == "" {
			m(w, req, inner)
			return
		}
		inner.ServeHTTP(w, req)
	})
}

// pushHeader marks the pushes of tests, which bypass the middleware.
const pushHeader = "X-Imagetest-Push"

// Count returns the number of requests with a method, or any if it is empty, whose path contains part.
func (r *Registry) Count(method, part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.seen {
		if strings.HasPrefix(s, method+" ") && strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// Reset sets the count of requests to 0.
func (r *Registry) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

// Push builds an image and pushes it to ref, host:port/repository:tag, in a registry without TLS. It returns the manifest's digest.
func Push(t testing.TB, ref string, c Config, layers ...[]byte) string {
	t.Helper()
	return PushImage(t, ref, Build(t, c, layers...))
}

// PushImage pushes an image or an index without checking it, and returns the manifest's digest.
func PushImage(t testing.TB, ref string, i Image) string {
	t.Helper()
	// Closing the server of another test would close the connections of the default client.
	return PushVia(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http", ref, i)
}

// PushVia is like PushImage, with another client and scheme, for example for TLS.
func PushVia(t testing.TB, client *http.Client, scheme, ref string, i Image) string {
	t.Helper()
	host, rest, ok := strings.Cut(ref, "/")
	repo, tag := rest, i.Digest()
	if c := strings.LastIndex(rest, ":"); c >= 0 {
		repo, tag = rest[:c], rest[c+1:]
	}
	if !ok || repo == "" {
		t.Fatalf("push %q: want host:port/repository[:tag]", ref)
	}
	base := scheme + "://" + host + "/v2/" + repo
	for digest, b := range i.Blobs {
		send(t, client, http.MethodPost, base+"/blobs/uploads/?digest="+digest, "application/octet-stream", b)
	}
	for _, id := range []string{tag, i.Digest()} {
		send(t, client, http.MethodPut, base+"/manifests/"+id, string(i.MediaType), i.Manifest)
	}
	return i.Digest()
}

func send(t testing.TB, client *http.Client, method, url, contentType string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set(pushHeader, "1")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		t.Fatal(fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, said))
	}
}
