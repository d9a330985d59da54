package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

// fixed is an answer that is the same for everybody as long as the server runs, so that it needs no token.
type fixed struct {
	kind   string // its media type
	policy string // its Content-Security-Policy, if it isn't the one of all answers
	text   []byte
}

// serveFixed serves what build returns, which is called at most once. Whoever has it may keep it, and asks whether it is still the same.
func (s *Server) serveFixed(build func() fixed, paths ...string) {
	built := sync.OnceValues(func() (fixed, string) {
		f := build()
		sum := sha256.Sum256(f.text)
		return f, `"` + hex.EncodeToString(sum[:16]) + `"`
	})
	for _, path := range paths {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			f, tag := built()
			h := w.Header()
			h.Set("Content-Type", f.kind)
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", tag)
			if f.policy != "" {
				h.Set("Content-Security-Policy", f.policy)
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
		})
	}
}
