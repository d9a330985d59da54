package server

import (
	"context"
	"net/http"

	"github.com/mayfly-run/mayfly/internal/api"
)

const openAPI = api.Prefix + "/openapi"

// describe has package huma make the texts of the API's description, which it keeps. It would make each at the first request for it,
// without a lock.
func (s *Server) describe() {
	for _, kind := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, openAPI+kind, nil)
		if err != nil {
			panic(err) // the address is fixed
		}
		s.mux.ServeHTTP(nowhere{}, r)
	}
}

// nowhere is an answer that nobody reads.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
