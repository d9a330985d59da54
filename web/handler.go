// Package web serves the pages: the programs, styles and icons that run in a browser and use the API. `make web` builds them into dist, which
// is part of the program; without it there is a page that says so.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed all:dist
var built embed.FS

const (
	index       = "index.html"
	placeholder = "placeholder.html"
	// nonceMark stands in the page for the number that its styles have; vite.config.ts has the same.
	nonceMark = "MAYFLY-NONCE"
	// hashed has the files whose names change with their contents.
	hashed = "assets/"
)

// pages are the files that are served.
type pages struct {
	files  fs.FS
	packed sync.Map // by name: a function that returns the file compressed
}

// Handler serves the pages. Any path that isn't a file's is one of the program's own, and gets the page.
func Handler() http.Handler {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // the name is right
	}
	return &pages{files: files}
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	switch {
	case name != "" && name != index && name != placeholder && p.has(name):
		p.serveFile(w, r, name)
	case strings.HasPrefix(name, hashed):
		http.Error(w, "this file is of another version of the pages; load the page again", http.StatusNotFound)
	default:
		p.servePage(w, r)
	}
}

func (p *pages) has(name string) bool {
	info, err := fs.Stat(p.files, name)
	return err == nil && info.Mode().IsRegular()
}

func (p *pages) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Type", typeOf(name))
	h.Set("Cache-Control", "max-age=3600") // browsers ask for the icon again whenever the address changes
	if strings.HasPrefix(name, hashed) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	data, err := fs.ReadFile(p.files, name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if takesGzip(r) {
		pack, _ := p.packed.LoadOrStore(name, sync.OnceValue(func() []byte { return compress(data) }))
		data = pack.(func() []byte)()
		h.Set("Content-Encoding", "gzip")
	}
	write(w, r, data)
}

// servePage serves the page with a policy of its own: only the files of this server run, and only styles with the page's nonce apply. Editors
// and terminals make style elements, which get it from the page.
func (p *pages) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	data, err := fs.ReadFile(p.files, index)
	if err != nil {
		if data, err = fs.ReadFile(p.files, placeholder); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	nonce := rand.Text()
	h.Set("Content-Security-Policy", policy(nonce))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	data = bytes.ReplaceAll(data, []byte(nonceMark), []byte(nonce))
	h.Add("Vary", "Accept-Encoding")
	if takesGzip(r) {
		data = compress(data)
		h.Set("Content-Encoding", "gzip")
	}
	write(w, r, data)
}

// policy is the page's Content-Security-Policy. Svelte makes HTML of its own templates only, under the name of its policy; what else would
// become HTML is refused by browsers that know trusted types.
func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self' 'nonce-" + nonce + "'", "img-src 'self' data:", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types svelte-trusted-html",
	}, "; ")
}

func write(w http.ResponseWriter, r *http.Request, data []byte) {
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(data) // the reader may be gone
}

// typeOf returns the media type of a file, whatever this machine's own list says.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// takesGzip reports whether the answer may be compressed. Browsers name gzip without a weight.
func takesGzip(r *http.Request) bool {
	for of := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(of) == "gzip" {
			return true
		}
	}
	return false
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level exists
	_, _ = w.Write(data)                                    // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}
