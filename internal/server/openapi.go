package server

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
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

const (
	typeJSON   = "application/json"
	typeBytes  = "application/octet-stream"
	typeTar    = "application/x-tar"
	typeText   = "text/plain"
	typeEvents = "text/event-stream"
)

// bodies are those of an operation by their media types. One without an answer is answered with 204.
type bodies struct{ request, answer map[string]*huma.MediaType }

// describeRaw describes the bodies that package huma neither reads nor writes: contents, streams, and all of runners. They aren't checked
// against their schemas, and those of runners may have the fields of an adjacent version.
func (s *Server) describeRaw() {
	all := s.api.OpenAPI().Components.Schemas
	describeEvents(all)
	all.RegisterTypeAlias(reflect.TypeFor[run.Event](), reflect.TypeFor[eventRef]())
	all.RegisterTypeAlias(reflect.TypeFor[run.Request](), reflect.TypeFor[requestRef]())
	before := map[string]bool{}
	for name := range all.Map() {
		before[name] = true
	}
	hello, message, report, receipt := one[api.Hello](all), one[api.Message](all), one[api.Report](all), one[api.Receipt](all)
	heartbeat, pulse := one[api.Heartbeat](all), one[api.Pulse](all)
	for name, schema := range all.Map() {
		if !before[name] && schema.AdditionalProperties == false {
			schema.AdditionalProperties = true
		}
	}
	all.Map()["Result"].Properties["outputs"].Nullable = true
	bytes := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	content := map[string]*huma.MediaType{typeBytes: {Schema: bytes}}
	raw := map[string]bodies{
		"follow-runs":        {answer: items(typeEvents, &huma.Schema{Ref: components + "SentList"})},
		"follow-drafts":      {answer: items(typeEvents, &huma.Schema{Ref: components + "SentDrafts"})},
		"follow-run":         {answer: items(typeEvents, &huma.Schema{Ref: components + "SentEvent"})},
		"download-events":    {answer: items(api.ReportLines, &huma.Schema{Ref: components + "Event"})},
		"download-log":       {answer: map[string]*huma.MediaType{typeText: {Schema: bytes}}},
		"get-file":           {answer: content},
		"get-draft-file":     {answer: content},
		"get-artifact":       {answer: map[string]*huma.MediaType{typeTar: {Schema: bytes}}},
		"put-content":        {request: content},
		"runner-content":     {answer: content},
		"runner-put-content": {request: content},
		"runner-messages":    {request: hello, answer: items(api.ReportLines, message[typeJSON].Schema)},
		"runner-heartbeat":   {request: heartbeat, answer: pulse},
		"runner-report":      {request: report, answer: receipt},
	}
	lines := &huma.Schema{Type: huma.TypeString, Description: "the first line is a Report without events, and each other line an Event"}
	raw["runner-report"].request[api.ReportLines] = &huma.MediaType{Schema: lines}
	for op := range operations(s.api.OpenAPI()) {
		if b, ok := raw[op.OperationID]; ok {
			b.describe(op)
		}
		if upgrades[op.OperationID] {
			delete(op.Responses, strconv.Itoa(http.StatusOK))
			op.Responses[strconv.Itoa(http.StatusSwitchingProtocols)] = &huma.Response{Description: http.StatusText(http.StatusSwitchingProtocols) + " to a WebSocket"}
		}
	}
}

// upgrades are the operations that make a WebSocket of their request.
var upgrades = map[string]bool{shellOperation: true, "runner-shell": true}

// operations are those of a description, by address.
func operations(doc *huma.OpenAPI) iter.Seq[*huma.Operation] {
	return func(yield func(*huma.Operation) bool) {
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			item := doc.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete, item.Patch} {
				if op != nil && !yield(op) {
					return
				}
			}
		}
	}
}

func (b bodies) describe(op *huma.Operation) {
	if b.request != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: b.request}
	}
	status := http.StatusOK
	if b.answer == nil {
		status = http.StatusNoContent
	}
	delete(op.Responses, strconv.Itoa(http.StatusOK))
	op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: b.answer}
}

// one describes a body of one value of a type.
func one[T any](all huma.Registry) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{typeJSON: {Schema: all.Schema(reflect.TypeFor[T](), true, "")}}
}

// items describes a body that is a stream of values. x-itemSchema is what OpenAPI 3.2 calls itemSchema.
func items(kind string, item *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{kind: {
		Schema: &huma.Schema{Type: huma.TypeString}, Extensions: map[string]any{"x-itemSchema": item},
	}}
}
