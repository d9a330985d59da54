package server

import (
	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// serveSchemas serves the JSON Schemas of the files that people write, for editors.
func (s *Server) serveSchemas() {
	for kind, schema := range map[string]func() []byte{"tool": tool.Schema, "workflow": definition.Schema, "test": suite.Schema} {
		s.serveFixed(func() fixed { return fixed{kind: "application/schema+json", text: schema()} }, api.Prefix+"/schemas/"+kind+".json")
	}
}
