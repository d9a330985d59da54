package server

import (
	"net/http"
	"testing"
)

// TestPagesServed checks what the pages get, and that their answers have the headers of all others unless they say otherwise.
func TestPagesServed(t *testing.T) {
	r := newRigWith(t, Options{Pages: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bare" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Set("Cache-Control", "max-age=1")
		}
		w.WriteHeader(http.StatusTeapot)
	})})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 418},
		{"HEAD", "/", 418},
		{"GET", "/runs/1", 418},
		{"GET", "/apish", 418},
		{"GET", "/bare", 418},
		{"POST", "/", 404},
		{"GET", "/api", 404},
		{"GET", "/api/", 404},
		{"GET", "/api/v2/runs", 404},
		{"GET", "/api/v1/runs", 404},
		{"GET", "/healthz", 200},
		{"GET", "/readyz", 200},
		{"GET", "/api/v1/openapi.json", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := [2]string{"default-src 'none'; frame-ancestors 'none'", "no-store"}
		if c.status == http.StatusTeapot && c.path != "/bare" {
			want = [2]string{"default-src 'self'", "max-age=1"}
		}
		h := resp.Header
		if got := [2]string{h.Get("Content-Security-Policy"), h.Get("Cache-Control")}; resp.StatusCode != c.status || got != want {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, resp.StatusCode, got, c.status, want)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
	}
}
