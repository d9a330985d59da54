package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestSchemas reads the schemas that editors use, without a token.
func TestSchemas(t *testing.T) {
	r := newRig(t)
	for _, kind := range []string{"tool", "workflow", "test"} {
		t.Run(kind, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/schemas/"+kind+".json", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/schema+json" {
				t.Fatalf("%d, %v, %v", resp.StatusCode, resp.Header, err)
			}
			schema := struct {
				Schema     string         `json:"$schema"`
				Properties map[string]any `json:"properties"`
			}{}
			if err := json.Unmarshal(text, &schema); err != nil || schema.Schema != "https://json-schema.org/draft/2020-12/schema" || len(schema.Properties) == 0 {
				t.Errorf("%v: %.200s", err, text)
			}
		})
	}
}

// TestSchemasAgain asks for what an editor has already.
func TestSchemasAgain(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/v1/schemas/tool.json", "/api/v1/docs"} {
		tag := ""
		for _, want := range []int{http.StatusOK, http.StatusNotModified} {
			w := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			req.Header.Set("If-None-Match", tag)
			r.Handler().ServeHTTP(w, req)
			if tag = w.Header().Get("ETag"); w.Code != want || tag == "" {
				t.Errorf("%s: %d, want %d; ETag %q", path, w.Code, want, tag)
			}
		}
	}
}
