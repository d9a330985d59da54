package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// get asks pages with these files for a path.
func get(t *testing.T, h http.Handler, path string, headers ...string) (status int, header http.Header, text string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header(), w.Body.String()
}

func builtPages() http.Handler {
	return &pages{files: fstest.MapFS{
		"index.html":       {Data: []byte(`<script nonce="MAYFLY-NONCE" src="/assets/a-1.js"></script><meta nonce="MAYFLY-NONCE">`)},
		"placeholder.html": {Data: []byte("run make web")},
		"icon.svg":         {Data: []byte("<svg/>")},
		"licenses.txt":     {Data: []byte("©")},
		"assets/a-1.js":    {Data: []byte(strings.Repeat("let a = 1;", 1000))},
	}}
}

func TestHandler(t *testing.T) {
	h := builtPages()
	for path, want := range map[string]struct {
		status      int
		kind, cache string
	}{
		"/":                      {200, "text/html; charset=utf-8", "no-store"},
		"/projects/a/runs/b":     {200, "text/html; charset=utf-8", "no-store"},
		"/projects/a%2F..%2Fb/x": {200, "text/html; charset=utf-8", "no-store"},
		"/index.html":            {200, "text/html; charset=utf-8", "no-store"},
		"/placeholder.html":      {200, "text/html; charset=utf-8", "no-store"},
		"/icon.svg":              {200, "image/svg+xml", "max-age=3600"},
		"/licenses.txt":          {200, "text/plain; charset=utf-8", "max-age=3600"},
		"/assets/a-1.js":         {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/a-2.js":         {404, "text/plain; charset=utf-8", ""},
		"/assets/../icon.svg":    {200, "image/svg+xml", "max-age=3600"},
	} {
		t.Run(path, func(t *testing.T) {
			status, header, text := get(t, h, path)
			if status != want.status || header.Get("Content-Type") != want.kind || header.Get("Cache-Control") != want.cache {
				t.Errorf("status %d, headers %v", status, header)
			}
			if strings.Contains(text, nonceMark) || strings.Contains(text, "make web") {
				t.Errorf("it is %q", text)
			}
		})
	}
}

// TestNonce sees that no two pages have the same nonce, and that it is the one that the policy allows.
func TestNonce(t *testing.T) {
	h := builtPages()
	seen := map[string]bool{}
	for range 3 {
		_, header, text := get(t, h, "/")
		policy := header.Get("Content-Security-Policy")
		m := regexp.MustCompile(`style-src 'self' 'nonce-(\w{26})'`).FindStringSubmatch(policy)
		if m == nil || seen[m[1]] || strings.Count(text, `nonce="`+m[1]+`"`) != 2 {
			t.Fatalf("policy %q, page %q", policy, text)
		}
		seen[m[1]] = true
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("policy %q doesn't have %q", policy, rule)
			}
		}
	}
}

func TestCompressed(t *testing.T) {
	h := builtPages()
	for path, has := range map[string]string{"/assets/a-1.js": "let a = 1;", "/": "<script"} {
		for encoding, want := range map[string]string{"gzip, deflate, br": "gzip", "br": "", "gzip;q=0": ""} {
			_, header, text := get(t, h, path, "Accept-Encoding", encoding)
			if header.Get("Content-Encoding") != want || header.Get("Vary") != "Accept-Encoding" {
				t.Fatalf("%s: %v", path, header)
			}
			if want == "gzip" {
				in, err := gzip.NewReader(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(in)
				if err != nil {
					t.Fatal(err)
				}
				text = string(plain)
			}
			if !strings.Contains(text, has) {
				t.Errorf("%s: %q", path, text)
			}
		}
	}
}

// TestPlaceholder sees that a program without built pages says what to do.
func TestPlaceholder(t *testing.T) {
	h := &pages{files: fstest.MapFS{"placeholder.html": {Data: []byte("run make web")}}}
	if _, _, text := get(t, h, "/"); text != "run make web" {
		t.Errorf("it is %q", text)
	}
	if _, _, text := get(t, Handler(), "/"); !strings.Contains(text, "<title>Mayfly</title>") {
		t.Errorf("it is %q", text)
	}
}
