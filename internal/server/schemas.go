package server

import (
	"net/http"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// serveSchemas serves the JSON Schemas of the files that people write, for editors. They are the same for everybody, so they need no token.
func (s *Server) serveSchemas() {
	for kind, schema := range map[string]func() []byte{"tool": tool.Schema, "workflow": definition.Schema, "test": suite.Schema} {
		s.mux.HandleFunc("GET "+api.Prefix+"/schemas/"+kind+".json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/schema+json")
			if _, err := w.Write(schema()); err != nil {
				s.log.Debug("answer", "error", err) // the client has gone
			}
		})
	}
}
